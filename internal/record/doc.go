// Package record writes a scenario of the simulator that resembles a transfer, from its objects in
// the cluster and without their names. Its functions are pure.
package record

import "time"

// Every is how long to wait between two looks at a run, and For how long to look at it by default:
// the throughput of half a minute differs from that of an hour by a few percent.
const (
	Every = 2 * time.Second
	For   = 30 * time.Second
)
