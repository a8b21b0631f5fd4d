package protocol

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fullSnapshot has as many groups and members as there may be, with names that JSON
// writes in six bytes for each of theirs.
func fullSnapshot() Snapshot {
	s := Snapshot{Epoch: 7, LeaseLifetime: time.Minute, Path: &PathSnapshot{Window: 280, State: CongestionAvoidance, Threshold: 16}}
	for i := range MaxGroups {
		g := GroupSnapshot{Name: fmt.Sprint("shared-", i), State: CongestionAvoidance, Rate: float64(i + 1), GoodRate: float64(i + 1)}
		for n := range MaxMembers / MaxGroups {
			if i > 0 {
				g.Members = append(g.Members, Member{"7f5a0a5e-9d3c-4a57-b7bb-0f8f2f2f7f11", strings.Repeat("\x01", 250) + fmt.Sprint(n)})
			}
		}
		s.Groups = append(s.Groups, g)
	}
	return s
}

func TestSnapshotIsBoundedInEncodedBytes(t *testing.T) {
	s := fullSnapshot()
	for _, most := range []int{500, 8 << 10, 64 << 10, 1 << 20} {
		text := EncodeSnapshot(s, most)
		if len(text) == 0 || len(text) > most {
			t.Fatalf("%d bytes, want some and at most %d", len(text), most)
		}
		got, err := DecodeSnapshot(text)
		must(t, err)
		if got.Epoch != 7 || got.Path == nil || got.Path.Window != 280 {
			t.Errorf("within %d bytes: %+v", most, got)
		}
		// The groups that the most is accepted for stay, and the first, which has the rest.
		for i, g := range got.Groups {
			if i > 0 && g.GoodRate <= float64(MaxGroups-len(got.Groups)+1) {
				t.Errorf("within %d bytes: group %s with %v requests per second is one of %d", most, g.Name, g.GoodRate, len(got.Groups))
			}
		}
	}
	if text := EncodeSnapshot(s, 20); text != nil {
		t.Errorf("in 20 bytes: %s", text)
	}
}

func TestSnapshotSurvivesItsEncoding(t *testing.T) {
	s := fullSnapshot()
	for i := range s.Groups {
		s.Groups[i].Members = s.Groups[i].Members[:min(2, len(s.Groups[i].Members))]
		for n := range s.Groups[i].Members {
			s.Groups[i].Members[n].Prefix = fmt.Sprint("<a&b>‹", n, "\u2028")
		}
	}
	got, err := DecodeSnapshot(EncodeSnapshot(s, 1<<20))
	must(t, err)
	if !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v\nwant %+v", got, s)
	}
}

func TestBadSnapshotsAreToldAndEmpty(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":        "",
		"garbage":        "\x00\xff{",
		"another type":   `[1,2]`,
		"version":        `{"version":2,"epoch":4,"path":{"window":8}}`,
		"no version":     `{"epoch":4,"path":{"window":8}}`,
		"number too big": `{"version":1,"path":{"window":1e999}}`,
		"too long":       `{"version":1,"groups":[{"name":"` + strings.Repeat("x", longestSnapshot) + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := DecodeSnapshot([]byte(text))
			if err == nil || !reflect.DeepEqual(s, Snapshot{}) {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
}

// What a destination is known for never has a transfer begin with less than a cold start, nor with
// many times more, however wrong it is, and with hardly anything of it after a week.
func TestWindowOfWhatIsKnown(t *testing.T) {
	const cold = 32
	known := func(rate float64, latency time.Duration, confidence float64) NetworkProfile {
		return NetworkProfile{RequestRate: rate, BaseLatency: latency, Confidence: confidence}
	}
	for name, test := range map[string]struct {
		known       NetworkProfile
		least, most int
	}{
		"nothing":          {NetworkProfile{}, cold, cold},
		"little":           {known(10, 100*time.Millisecond, 1), cold, cold},
		"much":             {known(10_000, 100*time.Millisecond, 1), 125, 125},
		"half as certain":  {known(10_000, 100*time.Millisecond, 0.5), 63, 63},
		"more than a path": {known(1e6, 10*time.Minute, 1), 8 * cold, 8 * cold},
		"no number":        {known(math.NaN(), time.Second, 1), cold, cold},
		"infinite":         {known(math.Inf(1), time.Second, 1), 8 * cold, 8 * cold},
		"negative":         {known(-1e9, time.Second, 1), cold, cold},
		"no confidence":    {known(10_000, time.Second, -1), cold, cold},
		"too confident":    {known(10_000, 100*time.Millisecond, 1e9), 125, 125},
		"a week ago":       {known(10_000, 100*time.Millisecond, 1).Aged(7 * 24 * time.Hour), cold, cold + 1},
		"long forgotten":   {known(1e6, time.Second, 1).Aged(Forgotten), cold, cold},
		"of tomorrow":      {known(10_000, 100*time.Millisecond, 1).Aged(-24 * time.Hour), 125, 125},
	} {
		if window := test.known.Window(cold); window < test.least || window > test.most {
			t.Errorf("%s: it begins with %d, want %d to %d", name, window, test.least, test.most)
		}
	}
}
