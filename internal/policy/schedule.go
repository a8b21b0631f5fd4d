package policy

import (
	"errors"
	"fmt"
	"time"
)

// Schedule is when a limit is in force: on the days named from one time of day to another, by
// the clocks of a time zone.
type Schedule struct {
	// Days of the week on which it begins; none stands for every day.
	Days []time.Weekday
	// From and To are times of day. If To is not after From, it ends on the next day.
	From, To TimeOfDay
	Zone     *time.Location
}

// TimeOfDay is in minutes since midnight, as clocks show it: from 0 to 24 · 60.
type TimeOfDay int

// Midnight is the end of a day.
const Midnight TimeOfDay = 24 * 60

// ParseTimeOfDay reads HH:MM, up to 24:00.
func ParseTimeOfDay(text string) (TimeOfDay, error) {
	var hour, minute int
	if n, err := fmt.Sscanf(text, "%02d:%02d", &hour, &minute); n != 2 || err != nil || fmt.Sprintf("%02d:%02d", hour, minute) != text {
		return 0, fmt.Errorf("time of day %q: must be HH:MM, such as 08:00", text)
	}
	t := TimeOfDay(60*hour + minute)
	if hour < 0 || minute < 0 || minute > 59 || t > Midnight {
		return 0, fmt.Errorf("time of day %q: must be between 00:00 and 24:00", text)
	}
	return t, nil
}

// LoadZone finds a time zone by its name in the IANA database; no name stands for UTC. That of
// the machine has no name: where a manager happens to run is nobody's intent.
func LoadZone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New(`time zone "Local": name one of the IANA database, such as Europe/Berlin`)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: it is not in the IANA database: name one such as Europe/Berlin", name)
	}
	return zone, nil
}

// span is when something is in force: from begin, before end.
type span struct{ begin, end time.Time }

func (s span) holds(now time.Time) bool { return !now.Before(s.begin) && now.Before(s.end) }

// spans are those of a schedule that begin on the day before now, on the same day or on one of
// so many days after it.
func (s Schedule) spans(now time.Time, ahead int) []span {
	var all []span
	local := now.In(s.Zone)
	for d := -1; d <= ahead; d++ {
		// At noon no clock jumps.
		day := time.Date(local.Year(), local.Month(), local.Day()+d, 12, 0, 0, 0, s.Zone)
		if !s.begins(day.Weekday()) {
			continue
		}
		last := day
		if s.To <= s.From {
			last = time.Date(day.Year(), day.Month(), day.Day()+1, 12, 0, 0, 0, s.Zone)
		}
		all = append(all, span{firstShown(day, s.From), firstShown(last, s.To)})
	}
	return all
}

func (s Schedule) begins(on time.Weekday) bool {
	for _, day := range s.Days {
		if day == on {
			return true
		}
	}
	return len(s.Days) == 0
}

// firstShown is when the clocks of a day first show a time of day or a later one: where they
// are set back and show it twice, the first time, and where they are set forward past it, that
// moment.
func firstShown(day time.Time, at TimeOfDay) time.Time {
	zone := day.Location()
	wanted := wall(time.Date(day.Year(), day.Month(), day.Day(), 0, int(at), 0, 0, time.UTC))
	t := time.Date(day.Year(), day.Month(), day.Day(), 0, int(at), 0, 0, zone)
	begin, end := t.ZoneBounds()
	switch shown := wall(t); {
	case shown < wanted: // skipped, and t is before the jump
		return end
	case shown > wanted: // skipped, and t is after it
		return begin
	}
	if begin.IsZero() {
		return t
	}
	_, offset := t.Zone()
	_, before := begin.Add(-1).Zone()
	if earlier := t.Add(time.Duration(offset-before) * time.Second); earlier.Before(begin) && wall(earlier) == wanted {
		return earlier
	}
	return t
}

// wall is what clocks show, as a number that grows with it.
func wall(t time.Time) int64 {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC).Unix()
}
