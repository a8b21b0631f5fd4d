//go:build !unix

package worker

import "time"

// PeakMemory is 0: nobody has asked another system.
func PeakMemory() int64 { return 0 }

// processorTime is unknown: nobody has asked another system.
func processorTime() (time.Duration, bool) { return 0, false }
