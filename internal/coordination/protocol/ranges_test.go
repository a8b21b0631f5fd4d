package protocol

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestParseRanges(t *testing.T) {
	tests := map[string]struct {
		text      string
		wantCount int64
		wantErr   bool
	}{
		"empty":            {text: ""},
		"one number":       {text: "7", wantCount: 1},
		"ranges":           {text: "0-41,43-99", wantCount: 99},
		"largest set":      {text: "0-9223372036854775806", wantCount: math.MaxInt64},
		"too large":        {text: "9223372036854775807", wantErr: true},
		"negative":         {text: "-1", wantErr: true},
		"sign":             {text: "+1", wantErr: true},
		"leading zero":     {text: "01", wantErr: true},
		"space":            {text: "1, 2", wantErr: true},
		"descending range": {text: "5-4", wantErr: true},
		"range of one":     {text: "5-5", wantErr: true},
		"overlap":          {text: "1-5,4-9", wantErr: true},
		"touching":         {text: "1-5,6-9", wantErr: true},
		"out of order":     {text: "7,3", wantErr: true},
		"empty part":       {text: "1,,3", wantErr: true},
		"open range":       {text: "1-", wantErr: true},
		"two dashes":       {text: "1-2-3", wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseRanges(test.text)
			if (err != nil) != test.wantErr {
				t.Fatalf("error %v, want one: %v", err, test.wantErr)
			}
			if got.Count() != test.wantCount {
				t.Errorf("count %d, want %d", got.Count(), test.wantCount)
			}
		})
	}
}

func TestRangesBehaveLikeASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var got Ranges
		want := map[int64]bool{}
		for _, n := range rapid.SliceOf(rapid.Int64Range(0, 40)).Draw(t, "added") {
			if added := got.Add(n); added == want[n] {
				t.Fatalf("Add(%d) gives %v, was member %v", n, added, want[n])
			}
			want[n] = true
		}
		for n := int64(-1); n <= 41; n++ {
			if got.Contains(n) != want[n] {
				t.Fatalf("%s contains %d: %v, want %v", got, n, got.Contains(n), want[n])
			}
		}
		if got.Count() != int64(len(want)) {
			t.Fatalf("%s counts %d, want %d", got, got.Count(), len(want))
		}
		if again, err := ParseRanges(got.String()); err != nil || again.String() != got.String() {
			t.Fatalf("%s reads back as %s: %v", got, again, err)
		}
		from := rapid.Int64Range(0, 45).Draw(t, "from")
		checkCounts(t, got, want, from, rapid.Int64Range(from, 46).Draw(t, "to"))
	})
}

func checkCounts(t *rapid.T, r Ranges, members map[int64]bool, from, to int64) {
	var want int64
	for n := from; n < to; n++ {
		if members[n] {
			want++
		}
	}
	if got := r.CountBetween(from, to); got != want {
		t.Fatalf("%s has %d members from %d to below %d, want %d", r, got, from, to, want)
	}
	absent := from
	for members[absent] {
		absent++
	}
	if got := r.AbsentFrom(from); got != absent {
		t.Fatalf("the first number from %d on that is not in %s is %d, want %d", from, r, got, absent)
	}
	var end int64
	for n := range members {
		end = max(end, n+1)
	}
	if got := r.End(); got != end {
		t.Fatalf("%s ends at %d, want %d", r, got, end)
	}
}

func TestRangesAtTheirEnd(t *testing.T) {
	var r Ranges
	if r.Add(-1) || r.Add(math.MaxInt64) {
		t.Fatal("a number out of bounds was added")
	}
	if !r.Add(MaxNumber) || !r.Add(MaxNumber-1) {
		t.Fatal("the largest numbers were not added")
	}
	if want := "9223372036854775805-9223372036854775806"; r.String() != want {
		t.Errorf("got %s, want %s", r, want)
	}
}

func TestRangesCloneIsIndependent(t *testing.T) {
	r, err := ParseRanges("1-3,7-9")
	must(t, err)
	c := r.Clone()
	c.Add(2)
	c.Add(4)
	c.Add(0)
	if r.String() != "1-3,7-9" {
		t.Errorf("changing a clone changed the original to %s", r)
	}
}

func FuzzParseRanges(f *testing.F) {
	for _, seed := range []string{"", "0", "0-41,43-99", "9223372036854775806", "1-", "3,1", "00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRanges(text)
		if err != nil {
			return
		}
		if r.String() != text {
			t.Errorf("%q reads as %q", text, r)
		}
		if r.Count() < 0 {
			t.Errorf("%q counts %d", text, r.Count())
		}
	})
}
