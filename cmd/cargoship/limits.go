package main

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // Containers and Windows may have no zones.

	"github.com/spf13/pflag"

	"cargoship.dev/operator/internal/policy"
)

// limitFlags bound what is sent.
type limitFlags struct{ rate, schedule string }

func (l *limitFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&l.rate, "bandwidth-limit", "off", "maximum bytes per second, such as 10M (10 MB) or 10Mi (10 MiB), or off")
	flags.StringVar(&l.schedule, "bandwidth-schedule", "", "maximum bytes per second by local time, each until the next, such as '08:00,512Ki 18:00,30Mi 23:00,off' or 'Mon-08:00,1Mi Sat-00:00,off'")
}

// complete parses both. Where both hold, the lower one does.
func (l *limitFlags) complete() (limits []policy.Limit, err error) {
	if limits, err = policy.ParseTimetable(l.schedule, time.Local, parseRate); err != nil {
		return nil, fmt.Errorf("--bandwidth-schedule: %w", err)
	}
	if l.rate == "off" {
		return limits, nil
	}
	rate, err := parseRate(l.rate)
	if err != nil {
		return nil, fmt.Errorf("--bandwidth-limit: %w", err)
	}
	return append(limits, policy.Limit{BytesPerSecond: &rate}), nil
}

// parseRate reads a number of bytes per second. Zero is no limit to some tools and the end of
// everything to others.
func parseRate(text string) (float64, error) {
	n, err := parseSize(text)
	if err == nil && n == 0 {
		err = errors.New("must be above 0: use off for no limit")
	}
	return float64(n), err
}
