package worker

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/upload"
)

const (
	maxReportedPrefixes = 64
	maxMessage          = 512
	maxReason           = 64

	reasonWorking  = "Working"
	reasonDraining = "Draining"
	reasonDrained  = "Drained"
)

// finishedArchive is an archive that ended, and the first report that said so; 0
// for none yet.
type finishedArchive struct {
	v1alpha1.FinishedArchive
	attempt int32
	report  int64
	// begun is the grant that the archive was begun under.
	begun protocol.GrantID
}

// Report returns the next report, to be sent at once: the lease is counted from
// now. Archives that ended are in every report until one is acknowledged. No report tells of an
// archive whose requests it does not count: those that end while it is made are in the next.
func (e *Engine) Report() v1alpha1.PrefixLeaseStatus {
	e.mu.Lock()
	counted := len(e.finished)
	kept := reportInterval(&e.grant) * 4 / 5 // intervals scatter, and ticks do
	e.mu.Unlock()
	stats := e.options.Meter.Snapshot(kept)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.obeys(stats) {
		e.obeyed = grantID(e.grant)
	}
	e.steer(stats)
	e.setConditions()
	now := time.Now()
	sequence := e.lease.Send(now)
	return v1alpha1.PrefixLeaseStatus{
		UptimeMilliseconds: new(now.Sub(e.lease.Started()).Milliseconds()),
		Instance:           e.options.Instance,
		ReportSequence:     &sequence,
		ObservedEpoch:      new(e.obeyed.Epoch),
		ObservedSequence:   new(e.obeyed.Sequence),
		MaxInFlight:        new(clamp32(int64(e.maxInFlight()))),
		MilliCPU:           e.processors.since(now),
		ChecksumAlgorithm:  e.options.Destination.ChecksumAlgorithm(),
		Prefixes:           e.reportPrefixes(stats),
		Finished:           e.reportFinished(sequence, counted),
		Plan:               e.reportPlan(),
		Conditions:         slices.Clone(e.conditions),
	}
}

func (e *Engine) maxInFlight() int {
	if e.options.Restore != nil {
		return e.options.MaxInFlight
	}
	return e.options.Uploader.MaxInFlight()
}

// obeys says that nothing is in flight any more that the newest grant withdrew:
// only then may the manager give it to somebody else.
func (e *Engine) obeys(stats []upload.PrefixStats) bool {
	for _, s := range stats {
		if inFlight := s.Started - s.Accepted - s.Throttled - s.Failed; inFlight > e.window(s.Prefix) {
			return false
		}
	}
	for _, a := range e.attempts {
		if a.withdrawn {
			return false
		}
	}
	return e.grant.Duty == v1alpha1.DutyPlan || !e.planning.running
}

// window returns how many requests may be in flight on a prefix.
func (e *Engine) window(prefix string) int64 {
	for _, l := range e.limits {
		if l.Prefix == prefix {
			return int64(l.Window)
		}
	}
	return 0
}

// reportFinished lists the archives that ended. Those begun under a grant that is
// not yet obeyed wait: the manager takes an outcome in a report that acts on an
// older grant for that of an earlier attempt, and would never hear of it again.
// Only the first most are told.
func (e *Engine) reportFinished(sequence int64, most int) []v1alpha1.FinishedArchive {
	most = min(most, len(e.finished))
	list := make([]v1alpha1.FinishedArchive, 0, most)
	for i := range most {
		f := &e.finished[i]
		if e.obeyed.Before(f.begun) {
			continue
		}
		f.report = cmp.Or(f.report, sequence)
		list = append(list, f.FinishedArchive)
	}
	return list
}

// reportPrefixes puts the prefixes granted first: should there be more than a
// report holds, it is for those that the manager needs the figures.
func (e *Engine) reportPrefixes(stats []upload.PrefixStats) []v1alpha1.PrefixReport {
	isGranted := func(name string) int {
		if slices.ContainsFunc(e.grant.Prefixes, func(p v1alpha1.PrefixGrant) bool { return p.Name == name }) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(stats, func(a, b upload.PrefixStats) int {
		return cmp.Or(cmp.Compare(isGranted(a.Prefix), isGranted(b.Prefix)), cmp.Compare(a.Prefix, b.Prefix))
	})
	stats = stats[:min(len(stats), maxReportedPrefixes)]
	list := make([]v1alpha1.PrefixReport, len(stats))
	for i, s := range stats {
		list[i] = prefixReport(s)
	}
	return list
}

func prefixReport(s upload.PrefixStats) v1alpha1.PrefixReport {
	r := v1alpha1.PrefixReport{
		Name:             s.Prefix,
		Started:          new(s.Started),
		Accepted:         new(s.Accepted),
		Throttled:        new(s.Throttled),
		Failed:           new(s.Failed),
		Bytes:            new(s.Bytes),
		BusyMicroseconds: new(s.Busy.Microseconds()),
		MaxInFlight:      new(clamp32(int64(s.MaxInFlight))),
		LimitedBy:        v1alpha1.Bottleneck(s.LimitedBy),
	}
	for _, x := range []upload.Sample{s.Newest, s.Before} {
		if x.Grant != (upload.Grant{}) {
			r.Samples = append(r.Samples, sample(x))
		}
	}
	if s.Hedged > 0 {
		r.Hedged = new(s.Hedged)
	}
	if s.Measured > 0 {
		r.AttemptP50Microseconds = new(s.AttemptP50.Microseconds())
		r.ServiceP50Microseconds = new(s.ServiceP50.Microseconds())
		r.ServiceP99Microseconds = new(s.ServiceP99.Microseconds())
	}
	return r
}

func sample(s upload.Sample) v1alpha1.RequestSample {
	return v1alpha1.RequestSample{
		Epoch:     new(s.Grant.Epoch),
		Sequence:  new(s.Grant.Sequence),
		Started:   new(s.Started),
		Accepted:  new(s.Accepted),
		Throttled: new(s.Throttled),
		Failed:    new(s.Failed),
	}
}

// setConditions brings the conditions up to date; a condition that does not
// change keeps the time of its last transition.
func (e *Engine) setConditions() {
	set := func(kind string, on bool, onReason, offReason, message string) {
		c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: offReason}
		if on {
			c.Status, c.Reason, c.Message = metav1.ConditionTrue, onReason, trim(message, maxMessage)
		}
		apimeta.SetStatusCondition(&e.conditions, c)
	}
	blocked, v := e.blockage.blocked, e.blockage.verdict
	if e.planning.verdict != nil && !blocked {
		blocked, v = true, *e.planning.verdict
	}
	set(v1alpha1.LeaseConditionBlocked, blocked, word(v.reason), reasonWorking, v.message)
	if e.options.Waits != nil {
		waits := e.options.Waits()
		set(v1alpha1.LeaseConditionThawing, waits != "", v1alpha1.ReasonThawing, reasonWorking, waits)
	}
	phase := e.lease.Phase(time.Now())
	expired := !e.over && e.grant.Epoch > 0 && (phase == lease.Expired || coasts(phase))
	set(v1alpha1.LeaseConditionDegraded, expired, v1alpha1.ReasonLeaseExpired, v1alpha1.ReasonHealthy, degraded(phase))
	if e.over || e.grant.Mode == v1alpha1.LeaseDrain {
		set(v1alpha1.LeaseConditionDrained, e.over || e.idle(), reasonDrained, reasonDraining, "nothing is in flight")
	}
}

// degraded says what the worker does after its lease.
func degraded(phase lease.Phase) string {
	switch phase {
	case lease.Coasting:
		return "the lease has expired: going on with the last grant until a report is acknowledged"
	case lease.Isolated:
		return "the lease has expired and the API server can't be reached: going on with half of the last grant"
	case lease.Expired:
		return "the lease has expired: one request at a time until a report is acknowledged"
	}
	return ""
}

// stalled is the report of a worker that cannot begin.
func stalled(instance string, sequence int64, err error) v1alpha1.PrefixLeaseStatus {
	v := verdictOf(err)
	if v.reason == reasonUnknown {
		v.reason = v1alpha1.ReasonSourceUnavailable
	}
	status := v1alpha1.PrefixLeaseStatus{Instance: instance, ReportSequence: &sequence}
	apimeta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.LeaseConditionBlocked, Status: metav1.ConditionTrue,
		Reason: word(v.reason), Message: trim(v.message, maxMessage),
	})
	return status
}

// result sums the attempt up.
func (a *attempt) result() v1alpha1.FinishedArchive {
	var done, failed, skipped tally
	// The reason told is that of the first failure, and of the first skip where
	// nothing failed.
	var first, firstSkip verdict
	for _, m := range a.members {
		why := verdict{m.Reason, cmp.Or(m.Message, fmt.Sprintf("source entry %q: %s", m.Path, m.Reason))}
		switch m.Outcome {
		case archive.Done:
			done.add(m.Size)
		case archive.Skipped:
			skipped.add(m.Size)
			firstSkip = cmp.Or(firstSkip, why)
		default:
			failed.add(m.Size)
			first = cmp.Or(first, why)
		}
	}
	first = cmp.Or(first, firstSkip)
	f := v1alpha1.FinishedArchive{
		Prefix: a.prefix, Number: new(a.number),
		Done: done.api(), Failed: failed.api(), Skipped: skipped.api(),
		Result: v1alpha1.ArchiveFinished,
	}
	if a.trouble != nil {
		f.Result, first = v1alpha1.ArchiveRetry, *a.trouble
	}
	f.Reason, f.Message = word(first.reason), trim(first.message, maxMessage)
	return f
}

// tally counts files and bytes.
type tally struct{ files, bytes int64 }

func (t *tally) add(size int64) {
	t.files++
	t.bytes += size
}

// api returns the tally, nil when nothing was counted: reports are kept small.
func (t tally) api() *v1alpha1.Tally {
	if t.files == 0 {
		return nil
	}
	return &v1alpha1.Tally{Files: &t.files, Bytes: &t.bytes}
}

func clamp32(n int64) int32 { return int32(max(0, min(n, math.MaxInt32))) }

// word makes a reason that the API takes of one that a server may have given:
// letters and digits, beginning with a letter. No reason stays none.
func word(reason string) string {
	if reason == "" {
		return ""
	}
	kept := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, reason)
	kept = strings.TrimLeft(kept, "0123456789")
	return cmp.Or(kept[:min(len(kept), maxReason)], reasonUnknown)
}

// trim makes text valid UTF-8 of at most limit bytes.
func trim(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	const ellipsis = "…"
	cut := limit - len(ellipsis)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + ellipsis
}
