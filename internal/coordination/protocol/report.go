package protocol

import (
	"errors"
	"fmt"
	"time"
)

// Report is the state of one worker, as it reports it.
type Report struct {
	Worker   WorkerID
	Transfer TransferID
	// Instance identifies the worker process; a new one starts its counters at zero.
	Instance string
	// Sequence rises with every report of a worker, from 1; a new process continues
	// above the last report of the previous one.
	Sequence int64
	// Uptime is how long the process had run when it sent the report, by its own
	// clock: rates are over the time between the sending of two reports, not between
	// their arrival. 0 when unknown.
	Uptime time.Duration
	// Epoch and GrantSequence name the grant the worker acts on.
	Epoch, GrantSequence int64
	// MaxInFlight bounds what the worker can use, from its memory.
	MaxInFlight int
	Prefixes    []PrefixCounters
	// Plan is how far the planning duty has come; nil from a worker that does not hold it.
	Plan *PlanProgress
	// Finished are the archives that ended since the acknowledged report.
	Finished []Outcome
	// Blocked: the worker can do nothing until somebody fixes a problem outside of it.
	Blocked bool
	// Drained: nothing is in flight and nothing will be started.
	Drained bool
}

// ActsOn names the grant that the worker acts on.
func (r Report) ActsOn() GrantID { return GrantID{r.Epoch, r.GrantSequence} }

// Validate returns an error for a report that no correct worker sends.
func (r Report) Validate() error {
	switch {
	case r.Instance == "":
		return errors.New("it names no instance")
	case r.Uptime < 0:
		return errors.New("its uptime is negative")
	case r.Sequence < 1 || r.Epoch < 0 || r.GrantSequence < 0 || r.MaxInFlight < 0:
		return errors.New("a sequence, epoch or bound is negative, or the sequence is 0")
	case len(r.Prefixes) > maxReported || len(r.Finished) > maxReported:
		return fmt.Errorf("it lists more than %d prefixes or archives", maxReported)
	}
	for _, p := range r.Prefixes {
		if err := p.validate(); err != nil {
			return fmt.Errorf("prefix %q: %w", p.Prefix, err)
		}
	}
	for _, o := range r.Finished {
		for _, t := range []Tally{o.Done, o.Failed, o.Skipped} {
			if t.Files < 0 || t.Bytes < 0 {
				return fmt.Errorf("archive %d of prefix %q: a tally is negative", o.Archive.Number, o.Archive.Prefix)
			}
		}
	}
	return nil
}

// PrefixCounters are a worker's cumulative counters of one prefix, and the
// latency of its last interval.
type PrefixCounters struct {
	Prefix    string
	Started   int64
	Accepted  int64
	Throttled int64
	Failed    int64
	Bytes     int64
	Busy      time.Duration
	// MaxInFlight covers the interval since the report before, AttemptP50, ServiceP50
	// and ServiceP99 also what was in reports that may not have been read; zero means
	// that nothing was measured.
	MaxInFlight int
	AttemptP50  time.Duration
	ServiceP50  time.Duration
	ServiceP99  time.Duration
	// SenderLimited: the worker had too little to send to fill its window or rate.
	SenderLimited bool
	// PolicyLimited: the pace that a policy sets held the worker back.
	PolicyLimited bool
	// Newest and Before count the requests that started under the newest limits and under
	// the previous ones. Limits last until a grant with others.
	Newest, Before Sample
}

// Sample counts the requests that started under the same limits, and their outcomes so far:
// a decision is judged by its own requests.
type Sample struct {
	// Grant is the first with these limits that the worker knew.
	Grant                                GrantID
	Started, Accepted, Throttled, Failed int64
}

// Ended counts the requests with an outcome.
func (s Sample) Ended() int64 { return s.Accepted + s.Throttled + s.Failed }

func (p PrefixCounters) validate() error {
	for _, n := range []int64{p.Started, p.Accepted, p.Throttled, p.Failed} {
		if n < 0 || n > MaxCounter {
			return fmt.Errorf("a counter is %d, must be between 0 and 2^53", n)
		}
	}
	switch {
	case p.Bytes < 0 || p.MaxInFlight < 0:
		return errors.New("the bytes or the requests in flight are negative")
	case p.Busy < 0 || p.AttemptP50 < 0 || p.ServiceP50 < 0 || p.ServiceP99 < 0:
		return errors.New("a duration is negative")
	case p.Accepted+p.Throttled+p.Failed > p.Started:
		return fmt.Errorf("%d requests ended of %d started", p.Accepted+p.Throttled+p.Failed, p.Started)
	}
	return p.validateSamples()
}

// validateSamples returns an error for samples that count more than all requests.
func (p PrefixCounters) validateSamples() error {
	for _, s := range []Sample{p.Newest, p.Before} {
		if min(s.Started, s.Accepted, s.Throttled, s.Failed) < 0 || s.Ended() > s.Started {
			return fmt.Errorf("%d requests ended of %d started under grant %d, or a counter is negative", s.Ended(), s.Started, s.Grant.Sequence)
		}
	}
	switch {
	case p.Oversampled():
		return errors.New("the samples of two grants are more than all requests")
	case p.Newest.Grant.Before(p.Before.Grant):
		return errors.New("the newest sample is of an earlier grant than the one before")
	}
	return nil
}

// Oversampled tells whether the samples count more than all requests, in total or in growth.
func (p PrefixCounters) Oversampled() bool {
	both := p.Newest.Plus(p.Before)
	return both.Started > p.Started || both.Accepted > p.Accepted || both.Throttled > p.Throttled || both.Failed > p.Failed
}

// Since gives the growth of the counters, with the measurements of p.
func (p PrefixCounters) Since(q PrefixCounters) PrefixCounters {
	p.Started -= q.Started
	p.Accepted -= q.Accepted
	p.Throttled -= q.Throttled
	p.Failed -= q.Failed
	p.Bytes -= q.Bytes
	p.Busy -= q.Busy
	p.Newest, p.Before = p.Newest.since(q), p.Before.since(q)
	return p
}

// since gives the growth of a sample since the counters before.
func (s Sample) since(q PrefixCounters) Sample {
	for _, former := range []Sample{q.Newest, q.Before} {
		if former.Grant == s.Grant {
			return Sample{s.Grant, s.Started - former.Started, s.Accepted - former.Accepted, s.Throttled - former.Throttled, s.Failed - former.Failed}
		}
	}
	return s
}

// Plus adds the counts of another sample.
func (s Sample) Plus(t Sample) Sample {
	s.Started = SaturatingAdd(s.Started, t.Started)
	s.Accepted = SaturatingAdd(s.Accepted, t.Accepted)
	s.Throttled = SaturatingAdd(s.Throttled, t.Throttled)
	s.Failed = SaturatingAdd(s.Failed, t.Failed)
	return s
}

// Plus gives the sum of two growths; each is bounded by what a report may say.
func (p PrefixCounters) Plus(q PrefixCounters) PrefixCounters {
	p.Started = SaturatingAdd(p.Started, q.Started)
	p.Accepted = SaturatingAdd(p.Accepted, q.Accepted)
	p.Throttled = SaturatingAdd(p.Throttled, q.Throttled)
	p.Failed = SaturatingAdd(p.Failed, q.Failed)
	p.Bytes = SaturatingAdd(p.Bytes, q.Bytes)
	p.Busy = time.Duration(SaturatingAdd(int64(p.Busy), int64(q.Busy)))
	return p
}

// Decreased tells whether some counter went back.
func (p PrefixCounters) Decreased() bool {
	samples := min(p.Newest.Started, p.Newest.Accepted, p.Newest.Throttled, p.Newest.Failed,
		p.Before.Started, p.Before.Accepted, p.Before.Throttled, p.Before.Failed)
	return min(p.Started, p.Accepted, p.Throttled, p.Failed, p.Bytes, int64(p.Busy), samples) < 0
}

// Latency is the median attempt, or where that is not measured the service time.
func (p PrefixCounters) Latency() time.Duration {
	if p.AttemptP50 > 0 {
		return p.AttemptP50
	}
	return p.ServiceP50
}

// Outcome is how an assigned archive ended.
type Outcome struct {
	Archive ArchiveID
	// Done, Failed and Skipped count the archive's files by outcome.
	Done, Failed, Skipped Tally
	// Retry: the archive is not finished and another attempt may succeed.
	Retry  bool
	Reason string
	// Message is for people.
	Message string
}

// Tally counts files and their bytes.
type Tally struct{ Files, Bytes int64 }

// Plus gives the sum; one that no int64 holds is the largest that does.
func (t Tally) Plus(u Tally) Tally {
	return Tally{SaturatingAdd(t.Files, u.Files), SaturatingAdd(t.Bytes, u.Bytes)}
}

// MaxCounter bounds the counters of a report; float64 holds each exactly.
const MaxCounter = 1 << 53

// maxReported bounds the lists of a report.
const maxReported = 4096
