package baseline

import "time"

const (
	// connections bounds the requests in flight of a law that publishes no bound of
	// its own, such as one that only paces: a generous pool of one process.
	connections = 256
	// attempts is how often a request is tried where the law's source does not say:
	// as often as the coordinator tries.
	attempts = 10
)

// Laws returns every law, each with its published defaults.
func Laws() []Law {
	return []Law{
		{Name: "aimd", Attempts: attempts, New: newAIMD},
		{Name: "gradient2", Attempts: attempts, New: newGradient2},
		{Name: "aws-adaptive", Attempts: 3, Backoff: time.Second, New: newAWSAdaptive},
		{Name: "emrfs", Attempts: 100, New: newEMRFS},
		{Name: "polars", Attempts: 11, New: newPolars},
		{Name: "falcon", Attempts: attempts, New: newFalcon},
		{Name: "bbr", Attempts: attempts, New: newBBR},
		{Name: "crt", Attempts: 6, Backoff: 500 * time.Millisecond, New: newCRT},
		{Name: "seed", Attempts: 3, Backoff: time.Second, New: newSeed},
	}
}

// dropped tells whether the destination throttled the request or left it unanswered.
func (r Result) dropped() bool { return r.Outcome == Throttled || r.Outcome == TimedOut }
