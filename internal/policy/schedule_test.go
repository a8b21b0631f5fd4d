package policy

import (
	"testing"
	"time"
	_ "time/tzdata"

	"cargoship.dev/operator/internal/coordination/protocol"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func schedule(t *testing.T, from, to, zoneName string, days ...time.Weekday) *Schedule {
	t.Helper()
	s := &Schedule{Days: days, Zone: zone(t, zoneName)}
	var err error
	if s.From, err = ParseTimeOfDay(from); err != nil {
		t.Fatal(err)
	}
	if s.To, err = ParseTimeOfDay(to); err != nil {
		t.Fatal(err)
	}
	return s
}

func limit(perSecond float64, s *Schedule) Limit {
	return Limit{BytesPerSecond: &perSecond, Schedule: s}
}

func TestScheduleIsInForce(t *testing.T) {
	weekdays := []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
	office := func(t *testing.T) *Schedule { return schedule(t, "08:00", "18:00", "Europe/Berlin", weekdays...) }
	night := func(t *testing.T) *Schedule { return schedule(t, "22:00", "06:00", "Europe/Berlin", time.Friday) }
	for name, test := range map[string]struct {
		schedule func(*testing.T) *Schedule
		now      string
		holds    bool
		until    string
	}{
		"before the office":            {office, "2026-11-27T06:59:59Z", false, "2026-11-27T07:00:00Z"},
		"its first moment":             {office, "2026-11-27T07:00:00Z", true, "2026-11-27T17:00:00Z"},
		"its last moment":              {office, "2026-11-27T16:59:59.999Z", true, "2026-11-27T17:00:00Z"},
		"its end":                      {office, "2026-11-27T17:00:00Z", false, "2026-11-30T07:00:00Z"},
		"the weekend":                  {office, "2026-11-28T12:00:00Z", false, "2026-11-30T07:00:00Z"},
		"in summer an hour earlier":    {office, "2026-07-01T06:00:00Z", true, "2026-07-01T16:00:00Z"},
		"the night of Friday":          {night, "2026-11-27T21:00:00Z", true, "2026-11-28T05:00:00Z"},
		"on Saturday morning still":    {night, "2026-11-28T04:59:00Z", true, "2026-11-28T05:00:00Z"},
		"not in the night of Saturday": {night, "2026-11-28T21:30:00Z", false, "2026-12-04T21:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Resolve(at(t, test.now), []Limit{limit(1000, test.schedule(t))})
			if holds := got.Pace.Bytes == 1000; holds != test.holds {
				t.Errorf("in force: %v", holds)
			}
			if want := at(t, test.until); !got.Until.Equal(want) {
				t.Errorf("until %v, want %v", got.Until.UTC(), want)
			}
		})
	}
}

// Clocks of Berlin go from 02:00 to 03:00 on 29 March 2026 at 01:00 UTC and from 03:00 back to
// 02:00 on 25 October 2026 at 01:00 UTC.
func TestScheduleWhereClocksAreSet(t *testing.T) {
	for name, test := range map[string]struct{ day, from, to, begins, ends string }{
		"a beginning that no clock shows": {"2026-03-28", "02:30", "05:00", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"},
		"an end that no clock shows":      {"2026-03-28", "01:00", "02:30", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"},
		"a beginning shown twice":         {"2026-10-24", "02:30", "05:00", "2026-10-25T00:30:00Z", "2026-10-25T04:00:00Z"},
		"an end shown twice":              {"2026-10-24", "01:00", "02:30", "2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z"},
		"a day of 25 hours":               {"2026-10-24", "00:00", "24:00", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		"a day of 23 hours":               {"2026-03-28", "00:00", "24:00", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			limits := []Limit{limit(1000, schedule(t, test.from, test.to, "Europe/Berlin", time.Sunday))}
			now := at(t, test.day+"T12:00:00Z")
			before := Resolve(now, limits)
			if !before.Until.Equal(at(t, test.begins)) || before.Pace.Bytes != 0 {
				t.Errorf("begins %v, want %v", before.Until.UTC(), test.begins)
			}
			if during := Resolve(before.Until, limits); !during.Until.Equal(at(t, test.ends)) || during.Pace.Bytes == 0 {
				t.Errorf("ends %v, want %v", during.Until.UTC(), test.ends)
			}
		})
	}
}

// Whatever the hour, what is in force changes at the times that were foretold and at no other,
// in every zone with clocks that are set, also by half an hour and at midnight.
func TestResolveForetellsEverySwitch(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago"} {
		limits := []Limit{
			limit(100, schedule(t, "08:00", "18:00", name, time.Monday, time.Wednesday)),
			limit(50, schedule(t, "23:30", "01:45", name)),
			limit(70, schedule(t, "00:00", "24:00", name, time.Sunday)),
		}
		for _, begin := range []string{"2026-03-05T00:00:00Z", "2026-03-27T00:00:00Z", "2026-09-03T00:00:00Z", "2026-10-23T00:00:00Z"} {
			now := at(t, begin)
			last := Resolve(now, limits)
			for end := now.AddDate(0, 0, 12); now.Before(end); now = now.Add(5 * time.Minute) {
				got := Resolve(now, limits)
				if now.Before(last.Until) && got.Limits != last.Limits || !now.Before(last.Until) && got.Limits == last.Limits && len(got.Indices) == len(last.Indices) {
					t.Fatalf("%s: %v at %v, though %v was in force until %v", name, got.Limits, now, last.Limits, last.Until)
				}
				if !now.Before(last.Until) || got.Until.Before(last.Until) {
					last = got
				}
			}
		}
	}
}

func TestTheLowestLimitHolds(t *testing.T) {
	number := func(n float64) *float64 { return &n }
	count := func(n int) *int { return &n }
	limits := []Limit{
		{BytesPerSecond: number(100), RequestsInFlight: count(20)},
		{BytesPerSecond: number(50), RequestsPerSecond: number(7)},
		{BytesPerSecond: number(200), RequestsInFlight: count(9)},
	}
	got := Resolve(at(t, "2026-11-29T00:00:00Z"), limits)
	want := protocol.Limits{Pace: protocol.Pace{Bytes: 50, Requests: 7}, InFlight: 9}
	if got.Limits != want || !got.Until.IsZero() {
		t.Errorf("%+v until %v, want %+v for good", got.Limits, got.Until, want)
	}
	if got := Resolve(at(t, "2026-11-29T00:00:00Z"), append(limits, Limit{RequestsPerSecond: number(0)})); !got.Suspended {
		t.Error("a limit of zero does not suspend")
	}
	if got := Resolve(at(t, "2026-11-29T00:00:00Z"), nil); got.Limits != (protocol.Limits{}) {
		t.Errorf("no limits are %+v", got.Limits)
	}
}

func TestParseTimeOfDayRejects(t *testing.T) {
	for _, text := range []string{"", "8:00", "24:01", "25:00", "08:60", "08:00 ", "-1:00", "08:0a", "0800", "+8:00"} {
		if got, err := ParseTimeOfDay(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestLoadZoneRejects(t *testing.T) {
	for _, name := range []string{"Local", "Europe/Atlantis", "../etc/passwd", "/etc/localtime"} {
		if _, err := LoadZone(name); err == nil {
			t.Errorf("%q is a zone", name)
		}
	}
}
