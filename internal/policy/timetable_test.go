package policy

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

func number(text string) (float64, error) { return strconv.ParseFloat(text, 64) }

func TestTimetable(t *testing.T) {
	for name, test := range map[string]struct {
		table string
		want  map[string]float64 // bytes per second by the time, 0 for no limit
	}{
		"by the day": {"08:00,512 12:00,10000 13:00,512 18:00,30000 23:00,off", map[string]float64{
			"2026-11-29T07:59:00Z": 0, "2026-11-29T08:00:00Z": 512, "2026-11-29T12:30:00Z": 10000,
			"2026-11-29T17:59:59Z": 512, "2026-11-29T22:00:00Z": 30000, "2026-11-29T23:00:00Z": 0, "2026-11-30T00:30:00Z": 0,
		}},
		"one entry": {"08:00,512", map[string]float64{"2026-11-29T07:59:00Z": 512, "2026-11-29T08:00:00Z": 512}},
		"past midnight": {"07:00,off 22:00,100", map[string]float64{
			"2026-11-29T23:59:59Z": 100, "2026-11-30T00:00:00Z": 100, "2026-11-30T06:59:59Z": 100, "2026-11-30T07:00:00Z": 0,
		}},
		"by the week": {"Mon-00:00,512 Fri-23:59,10000 Sat-10:00,1000 sunday-20:00,off", map[string]float64{
			"2026-11-29T19:59:00Z": 1000, "2026-11-29T20:00:00Z": 0, "2026-11-30T00:00:00Z": 512, "2026-12-02T15:00:00Z": 512,
			"2026-12-04T23:58:59Z": 512, "2026-12-04T23:59:00Z": 10000, "2026-12-05T09:00:00Z": 10000, "2026-12-05T10:00:00Z": 1000,
		}},
		"nothing": {"", map[string]float64{"2026-11-29T08:00:00Z": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			limits, err := ParseTimetable(test.table, time.UTC, number)
			if err != nil {
				t.Fatal(err)
			}
			for when, want := range test.want {
				if got := Resolve(at(t, when), limits).Pace.Bytes; got != want {
					t.Errorf("%v at %s, want %v", got, when, want)
				}
			}
		})
	}
}

func TestParseTimetableRejects(t *testing.T) {
	for _, text := range []string{"08:00", "8:00,5", "24:00,5", "Mon,5", "Someday-08:00,5", "08:00,fast", "08:00,1 08:00,2", "Mon-08:00,1 08:00,2", ",5", "-08:00,5"} {
		if limits, err := ParseTimetable(text, time.UTC, number); err == nil {
			t.Errorf("%q is %s", text, fmt.Sprint(limits))
		}
	}
}
