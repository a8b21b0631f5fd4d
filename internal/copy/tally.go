package copy

import (
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
)

// tally counts what a copy has found and done.
type tally struct {
	found    archive.Totals
	archives int64
	// prefixes are what was found of each.
	prefixes map[string]found

	done, failed, skipped count

	requests, accepted, throttled, retried, sent int64
	// p50 and p99 are sums of microseconds, weighted by the requests measured.
	p50, p99, measured float64
	checksum           string
}

// found is what the walk has found of one prefix.
type found struct {
	archive.Count
	archives int64
}

type count struct{ files, bytes int64 }

func (c *count) add(t *v1alpha1.Tally) {
	if t != nil {
		c.files += deref(t.Files)
		c.bytes += deref(t.Bytes)
	}
}

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// find counts an archive that the walk has found.
func (t *tally) find(a archive.Archive) {
	t.found.Archives++
	t.found.Files += a.Files()
	t.found.Bytes += a.Bytes()
	p := t.prefixes[a.Prefix]
	p.archives++
	p.Count = p.Plus(archive.Count{Files: a.Files(), Bytes: a.Bytes()})
	if t.prefixes == nil {
		t.prefixes = map[string]found{}
	}
	t.prefixes[a.Prefix] = p
}

// finish counts an archive that ended.
func (t *tally) finish(f v1alpha1.FinishedArchive) {
	t.archives++
	t.done.add(f.Done)
	t.failed.add(f.Failed)
	t.skipped.add(f.Skipped)
}

// count takes in the counters of a report, which are cumulative, and its
// latencies, which aren't. It says whether a request was accepted since the last.
func (t *tally) count(r v1alpha1.PrefixLeaseStatus) bool {
	before := t.accepted
	t.requests, t.accepted, t.throttled, t.retried, t.sent = 0, 0, 0, 0, 0
	for _, p := range r.Prefixes {
		t.requests += deref(p.Started)
		t.accepted += deref(p.Accepted)
		t.throttled += deref(p.Throttled)
		t.retried += deref(p.Failed)
		t.sent += deref(p.Bytes)
	}
	fresh := float64(t.accepted - before)
	for _, p := range r.Prefixes {
		if p.ServiceP50Microseconds == nil || p.ServiceP99Microseconds == nil {
			continue
		}
		// Requests aren't counted by interval and prefix; the share of the prefix in
		// all requests is near enough for a mean.
		weight := fresh * float64(deref(p.Accepted)) / float64(max(t.accepted, 1))
		t.p50 += weight * float64(*p.ServiceP50Microseconds)
		t.p99 += weight * float64(*p.ServiceP99Microseconds)
		t.measured += weight
	}
	t.checksum = r.ChecksumAlgorithm
	return t.accepted > before
}

func (s *session) summary(took time.Duration) Summary {
	t := &s.tally
	counted, kept := s.outcomes.sum()
	sum := Summary{
		Files: counted.Done.Files, Archives: t.archives, Bytes: counted.Done.Bytes,
		Kept: kept, Skipped: counted.Skipped.Files, Failed: counted.Failed.Files,
		Seconds:  took.Seconds(),
		Requests: t.requests, Throttled: t.throttled, Retries: t.throttled + t.retried,
		Checksum:   t.checksum,
		Throughput: float64(counted.Done.Bytes) / took.Seconds(),
		Failures:   s.outcomes.list(),
	}
	sum.AttributesNotKept, sum.NotKept = s.outcomes.notKept.sum()
	if t.measured > 0 {
		sum.P50 = t.p50 / t.measured / 1e6
		sum.P99 = t.p99 / t.measured / 1e6
	}
	return sum
}
