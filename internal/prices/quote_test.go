package prices

import (
	"math"
	"testing"
)

// quotes are ten whose figures were computed by hand from the prices of prices.json, whose sources are
// dated there; each comment is the calculation. GB are GiB in Amazon's bills, KB are KiB.
var quotes = []struct {
	name              string
	class             string
	objects, size     int64
	requests, side    int64 // requests for each object, and objects of bookkeeping
	terms             Terms
	month, over       float64
	once, kms, total  float64
	tier              string
	restore, transfer float64
}{
	{ // 100 GiB × 0.023; 13 thousand × 0.005; 12 × 2.3 + 0.065; 13 × 0.0004; 100 × 0.09
		"100 objects of 1 GiB", "STANDARD", 100, 1 << 30, 130, 0, Terms{Months: 12},
		2.3, 0, 0.065, 0, 27.665, "", 0.0052, 9,
	},
	{ // billed as 128 KiB: 122.0703125 GiB × 0.0125, of which 118.255615234375 GiB are not data;
		// 1,000 thousand × 0.01; 1,000 × 0.001 + 3.814697265625 × 0.01
		"a million objects of 4 KiB", "STANDARD_IA", 1_000_000, 4 << 10, 1, 0, Terms{Months: 12},
		1.52587890625, 1.4781951904296875, 10, 0, 28.310546875, "", 1.03814697265625, 0.34332275390625,
	},
	{ // 0.9765625 GiB × 0.01 for a month, although deleted after a day; 1 × 0.01
		"a thousand objects of 1 MiB, for a day", "ONEZONE_IA", 1000, 1 << 20, 1, 0, Terms{Months: 1.0 / 30},
		0.009765625, 0, 0.01, 0, 0.019765625, "", 0.010765625, 0.087890625,
	},
	{ // 1,024 GiB × 0.004, for three months; 133.12 × 0.02; 133.12 × 0.01 + 1,024 × 0.03
		"1 TiB for a month", "GLACIER_IR", 1024, 1 << 30, 130, 0, Terms{Months: 1},
		4.096, 0, 2.6624, 0, 14.9504, "", 32.0512, 92.16,
	},
	{ // Amazon's own example: 1,774 for the thaw, and 15,000 × 0.0004 to read. 102,400 GiB × 0.0036;
		// 15 million × 32 KiB are 457.763671875 GiB × 0.0036, × 8 KiB 114.44091796875 × 0.023; 15,000 × 0.03
		"15 million objects of 100 TiB", "GLACIER", 15_000_000, 102_400 << 30 / 15_000_000, 1, 0, Terms{Months: 3},
		372.92009033203125, 4.28009033203125, 450, 0, 1568.76027099609375, "Standard", 1780, 9216,
	},
	{ // 9.5367431640625 GiB × 0.00099; 30.517578125 × 0.00099 + 7.62939453125 × 0.023; 1,000 × 0.05;
		// 9.5367431640625 × (0.0025 + 0.023 × 7 / 30) + 1,000 × 0.025 + 1,000 × 0.0004
		"a million objects of 10 KiB", "DEEP_ARCHIVE", 1_000_000, 10 << 10, 1, 0, Terms{Months: 12, ThawDays: 7},
		0.215129852294921875, 0.2056884765625, 50, 0, 52.5815582275390625, "Bulk", 25.475022379557, 0.858306884765625,
	},
	{ // the same in ten tars: 1.24 × 0.05 + 0.025 × 0.005; 10 × 32 KiB × 0.00099 + 10 × 8 KiB × 0.023
		"the same packed", "DEEP_ARCHIVE", 10, 1_024_000_000, 124, 25, Terms{Months: 12, ThawDays: 7},
		0.009443432617, 0.000002056885, 0.062125, 0, 0.175446191406, "Bulk", 0.075778379557, 0.858306884765625,
	},
	{ // 0.03 for 10,000: 100 × 0.03, again to read; 0.95367431640625 GiB × 0.023; 1,000 × 0.005
		"a million objects of 1 KiB with the KMS", "STANDARD", 1_000_000, 1 << 10, 1, 0, Terms{Months: 12, KMS: true},
		0.02193450927734375, 0, 5, 3, 8.263214111328125, "", 3.4, 0.0858306884765625,
	},
	{ // a hundredth of that
		"the same with a bucket key", "STANDARD", 1_000_000, 1 << 10, 1, 0, Terms{Months: 12, KMS: true, BucketKey: true},
		0.02193450927734375, 0, 5, 0.03, 5.293214111328125, "", 0.43, 0.0858306884765625,
	},
	{ // for 180 days: 6 × (0.00099 + 32 KiB × 0.00099 + 8 KiB × 0.023) + 0.13 × 0.05; Standard: 0.02 + 0.0001 + 0.13 × 0.0004
		"1 GiB for a month", "DEEP_ARCHIVE", 1, 1 << 30, 130, 0, Terms{Months: 1},
		0.00099020568848, 0.00000020568848, 0.0065, 0, 0.01244123413086, "Standard", 0.020152, 0.09,
	},
}

func TestTenQuotesComputedByHand(t *testing.T) {
	table, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range quotes {
		t.Run(tc.name, func(t *testing.T) {
			load := loadOf(table, tc.objects, tc.size, tc.requests, tc.side)
			q, err := table.Quote(tc.class, load, tc.terms)
			if err != nil {
				t.Fatal(err)
			}
			restore := math.NaN()
			for _, r := range q.Restores {
				if r.Tier == tc.tier {
					restore = r.Cost
				}
			}
			for _, x := range []struct {
				what      string
				got, want float64
			}{
				{"a month", q.Month, tc.month}, {"overhead", q.Overhead, tc.over}, {"requests", q.Requests, tc.once}, {"kms", q.KMS, tc.kms},
				{"total", q.Total, tc.total}, {"restore", restore, tc.restore}, {"transfer out", q.TransferOut, tc.transfer},
			} {
				// A hundredth of a thousandth, or of what is asked, covers sizes that are no whole bytes.
				if !(math.Abs(x.got-x.want) <= max(1e-9, x.want*1e-5)) {
					t.Errorf("%s is %.12f, by hand it is %.12f", x.what, x.got, x.want)
				}
			}
		})
	}
}

// loadOf is a load of equal objects.
func loadOf(t Table, objects, size, requests, side int64) Load {
	l := Load{Objects: objects, Bytes: objects * size, Requests: objects * requests, Bookkeeping: side, Lacking: map[int64]int64{}}
	one := Load{}
	t.Add(&one, size, requests)
	for least, bytes := range one.Lacking {
		l.Lacking[least] = objects * bytes
	}
	return l
}

// An object of the minimum size is not below it, and objects are added one by one.
func TestTheMinimumSizeIsOfEachObject(t *testing.T) {
	table, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	var l Load
	for _, size := range []int64{0, 128<<10 - 1, 128 << 10, 1 << 30} {
		table.Add(&l, size, 2)
	}
	if l.Objects != 4 || l.Requests != 8 || l.Bytes != 1<<30+256<<10-1 || l.Lacking[128<<10] != 128<<10+1 || len(l.Lacking) != 1 {
		t.Errorf("%+v", l)
	}
}

// What one table has added up is priced by another only if it has the same minimum sizes.
func TestALoadIsPricedByATableOfItsSizes(t *testing.T) {
	table, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	var l Load
	table.Add(&l, 1<<20, 1)
	other := Table{Classes: []Class{{Class: "X", MinimumBytes: 64 << 10}}}
	if !table.Covers(l) || other.Covers(l) || !other.Covers(Load{}) || !(Table{}).Covers(l) {
		t.Errorf("%+v", l)
	}
}

func TestAClassWithoutAPriceHasNoQuote(t *testing.T) {
	if _, err := (Table{}).Quote("SNOW", Load{}, Terms{}); err == nil {
		t.Error("SNOW has a quote")
	}
}
