package protocol

import (
	"slices"
	"time"
)

// Progress is the progress of a transfer, by prefix in the order of their names.
type Progress struct {
	// Planned: the whole source is listed, so the plan is final.
	Planned  bool
	Prefixes []PrefixProgress
}

// Counts are sums over the prefixes of a transfer.
type Counts struct {
	Planned Planned
	// Ended archives, and the outcomes of the files in them. An archive that used up its
	// attempts counts as one failed file until it is known how many it held.
	Ended                 int64
	Done, Failed, Skipped Tally
	// Throughput in bytes per second.
	Throughput float64
}

// Counts sums up the prefixes.
func (p Progress) Counts() Counts {
	var c Counts
	for _, x := range p.Prefixes {
		c.Planned.Add(x.Planned)
		c.Ended = SaturatingAdd(c.Ended, x.Finished.Count())
		c.Done, c.Skipped = c.Done.Plus(x.Done), c.Skipped.Plus(x.Skipped)
		unknown := x.Planned.Files - x.Done.Files - x.Failed.Files - x.Skipped.Files
		c.Failed = c.Failed.Plus(x.Failed).Plus(Tally{Files: max(0, min(x.Exhausted, unknown))})
		c.Throughput += x.Throughput
	}
	return c
}

// Conserved tells whether the transfer has ended and every planned file and byte is
// accounted for (I8), prefix by prefix.
func (p Progress) Conserved() bool {
	return p.Planned && !slices.ContainsFunc(p.Prefixes, func(x PrefixProgress) bool { return !x.conserved() })
}

// PrefixProgress is the progress of one prefix.
type PrefixProgress struct {
	Prefix string
	// Group is the shared-fate group of the prefix, State its controller's.
	Group   string
	State   State
	Planned Planned
	// Queued, Assigned and Finished count or hold the known archives; each is in
	// one of the three.
	Queued, Assigned int64
	Finished         Ranges
	// Done, Failed and Skipped sum the outcomes of the files of finished archives. The
	// files of Exhausted ones, which no worker reported, are added to Failed as soon as
	// their number is known: once the plan is final and nothing else of the prefix is left.
	Done, Failed, Skipped Tally
	// Exhausted counts the finished archives that used up their attempts.
	Exhausted int64
	// FailedArchives counts finished archives with failed files; Failures holds
	// the first of them.
	FailedArchives int64
	Failures       []FailedArchive
	// Throughput in bytes per second and ThrottledShare from 0 to 1 are sums and
	// means over the last report of every live worker.
	Throughput     float64
	ThrottledShare float64
	// AttemptP50 and ServiceP50 are means of the workers' medians, weighted by
	// accepted requests; ServiceP99 is the largest of the workers'. Zero means
	// that nothing was measured.
	AttemptP50, ServiceP50, ServiceP99 time.Duration
	// Window in requests in flight and Rate in requests per second are the sums
	// of what is granted; Rate 0 means that only the window limits.
	Window int
	Rate   float64
}

func (p PrefixProgress) conserved() bool {
	sum := p.Done.Plus(p.Failed).Plus(p.Skipped)
	return p.Finished.Count() == p.Planned.Archives && sum == Tally{Files: p.Planned.Files, Bytes: p.Planned.Bytes}
}

// Recorded returns what to record of the prefix for the next leader.
func (p PrefixProgress) Recorded() Recorded {
	return Recorded{
		Planned: p.Planned, Finished: p.Finished,
		Done: p.Done, Failed: p.Failed, Skipped: p.Skipped, Exhausted: p.Exhausted,
	}
}

// FailedArchive says why an archive has failed files.
type FailedArchive struct {
	Number  int64
	Reason  string
	Message string
}
