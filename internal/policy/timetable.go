package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// entry of a timetable: from a time of the week on, in minutes since the midnight before
// Sunday, so many bytes per second; 0 for any number.
type entry struct {
	at  int
	per float64
}

const dayMinutes = int(Midnight)

// ParseTimetable reads limits of bytes per second by the time of day, or of the week: entries
// such as 08:00,512Ki or Mon-08:00,off, of which each holds until the next does. A rate is
// read by the function given, and off stands for none.
func ParseTimetable(text string, zone *time.Location, rate func(string) (float64, error)) ([]Limit, error) {
	var entries []entry
	for _, field := range strings.Fields(text) {
		when, value, found := strings.Cut(field, ",")
		if !found {
			return nil, fmt.Errorf("%q: must be TIME,RATE, such as 08:00,512Ki or Mon-08:00,off", field)
		}
		days, err := weekdays(&when)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", field, err)
		}
		at, err := ParseTimeOfDay(when)
		if err == nil && at == Midnight {
			err = fmt.Errorf("time of day %q: must be between 00:00 and 23:59", when)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", field, err)
		}
		per := 0.0
		if value != "off" {
			if per, err = rate(value); err != nil {
				return nil, fmt.Errorf("%q: %w", field, err)
			}
		}
		for _, day := range days {
			entries = append(entries, entry{int(day)*dayMinutes + int(at), per})
		}
	}
	return spansOf(entries, zone)
}

// weekdays takes the day off the front of a time: all of them where there is none.
func weekdays(when *string) (days []time.Weekday, err error) {
	name, rest, named := strings.Cut(*when, "-")
	for d := time.Sunday; d <= time.Saturday; d++ {
		if !named || strings.EqualFold(name, d.String()) || strings.EqualFold(name, d.String()[:3]) {
			days = append(days, d)
		}
	}
	if len(days) == 0 {
		return nil, fmt.Errorf("%q is no day of the week: use Mon, Tue and so on", name)
	}
	if named {
		*when = rest
	}
	return days, nil
}

// spansOf has each entry hold until the next, through the week.
func spansOf(entries []entry, zone *time.Location) (limits []Limit, err error) {
	slices.SortStableFunc(entries, func(a, b entry) int { return a.at - b.at })
	for i, e := range entries {
		if i > 0 && entries[i-1].at == e.at {
			return nil, fmt.Errorf("two entries begin on %s at %s", time.Weekday(e.at/dayMinutes), clock(e.at%dayMinutes))
		}
		end := entries[(i+1)%len(entries)].at
		if end <= e.at {
			end += 7 * dayMinutes
		}
		for from := e.at; e.per > 0 && from < end; {
			midnight := (from/dayMinutes + 1) * dayMinutes
			to := min(end, midnight)
			limits = append(limits, Limit{BytesPerSecond: &e.per, Schedule: &Schedule{
				Days: []time.Weekday{time.Weekday(from / dayMinutes % 7)},
				From: TimeOfDay(from % dayMinutes), To: TimeOfDay(to - midnight + dayMinutes), Zone: zone,
			}})
			from = to
		}
	}
	return limits, nil
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }
