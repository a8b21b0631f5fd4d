package explain

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// Answer is what limits a run, the evidence, and what to do.
type Answer struct {
	LimitedBy v1alpha1.Limit `json:"limitedBy"`
	Sentence  string         `json:"sentence"`
	Advice    string         `json:"advice,omitempty"`
	Evidence  []Fact         `json:"evidence,omitempty"`
}

// Fact is one figure that the answer rests on.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Explain says what limits a run now. The leases are those of its workers.
func Explain(r Run, leases []v1alpha1.PrefixLease) Answer {
	a := Answer{LimitedBy: Limit(r, leases)}
	v := survey(r, Each(leases))
	a.Sentence, a.Advice = v.words(r, a.LimitedBy)
	if !r.Ended() {
		a.Evidence = v.evidence(r)
	} else {
		a.Evidence = outcome(r)
	}
	return a
}

// words returns the sentence and the advice for a limit.
func (v view) words(r Run, limit v1alpha1.Limit) (sentence, advice string) {
	if s, a, ok := held(r, limit); ok {
		return s, a
	}
	switch limit {
	case v1alpha1.LimitSource:
		return sourceWords(r)
	case v1alpha1.LimitCPU:
		return "The workers use all of their CPU.", "Raise the cpu limit in spec.workers.resources, add workers, or lower the compression level."
	case v1alpha1.LimitMemory:
		return "The memory of the workers bounds their requests in flight.", "Raise the memory limit in spec.workers.resources, or add workers."
	case v1alpha1.LimitWindow:
		if r.Fixed {
			return "The fixed windows of spec.coordination.uncoordinated are in use.", "Raise them, or set spec.coordination.mode to Coordinated."
		}
		return "The window is in use and still growing: the capacity of the path is being found.", "Wait: it grows until requests begin to queue or are throttled."
	case v1alpha1.LimitRate:
		return "Requests are paced by a rate that was learned earlier; nothing has been throttled since.", "Wait: the rate is probed upwards every few seconds."
	case v1alpha1.LimitPath:
		return "The path is full: more requests in flight only wait longer.", "The network or the server is the limit; other transfers to the same bucket share it by spec.weight."
	case v1alpha1.LimitPolicer:
		return fmt.Sprintf("The destination throttles requests, most on prefix %q.", worst(r).Name),
			"Spread keys over more prefixes, pack small files with packing Tar, or ask the provider to raise the limit."
	case v1alpha1.LimitOutage:
		return "Hardly any request to the destination succeeds.", "Check the server and the network; the workers go on once requests succeed again."
	}
	if limit == v1alpha1.LimitPolicy {
		return policyWords(r)
	}
	return "The workers have not reported yet what limits them.", "Ask again in a few seconds."
}

// sourceWords tell of workers that have too little to do.
func sourceWords(r Run) (sentence, advice string) {
	restore := r.Kind == workload.KindRestore
	switch {
	case r.Phase() == v1alpha1.ReasonThawing:
		return "It waits for objects that are being thawed (" + r.why() + ").", "Wait, or restore with a faster tier in spec.thaw; `cargoship restore --dry-run` shows times and costs."
	case r.Progress.Planning != planningComplete && restore:
		return "The workers wait for the plan of what is missing.", "Select less with spec.from.include, or wait."
	case r.Progress.Planning != planningComplete:
		return "The workers wait for the source, which is still being listed.", "Many small files take long to list; packing Tar sends them faster once listed."
	case restore:
		return "The workers fetch less than they may: writing to the target limits them.", "Use a faster volume; many small files take long to create."
	}
	return "The workers have too little to send: reading the source limits them.", "Use a faster volume, or more workers if the volume serves several clients well."
}

// policyWords tell of a policy that allows no more.
func policyWords(r Run) (sentence, advice string) {
	const advised = "`kubectl get coordinationpolicies` shows what is in force now, and until when; the condition Degraded says if the namespace is denied."
	if r.Coordination.Reason == reasonPolicySuspended {
		return "A CoordinationPolicy lets nothing be sent to the destination or read from it.", advised
	}
	return "A CoordinationPolicy allows no more at the destination.", advised
}

// planningComplete is the value of status.progress.planning once the source is listed.
const planningComplete = "Complete"

// why is what the condition Progressing says.
func (r Run) why() string {
	c := meta.FindStatusCondition(r.Conditions, v1alpha1.ConditionProgressing)
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s: %s", c.Reason, c.Message)
}

// held returns the sentence and the advice for a run that is held up.
func held(r Run, limit v1alpha1.Limit) (sentence, advice string, ok bool) {
	why := r.why()
	switch limit {
	case Ended:
		sentence, advice = end(r)
	case Suspended:
		sentence, advice = "It is suspended by spec.suspend.", "Continue it with `kubectl cargoship resume "+r.Title()+"`."
	case Queue:
		sentence, advice = "A job queue holds the Job of its workers.", "See the queue, such as `kubectl get workloads`; it starts once admitted."
	case Quota:
		sentence, advice = "A quota of the namespace rejects the worker pods ("+why+").", "Raise the quota, or lower spec.workers.count or spec.workers.resources."
	case Workers:
		sentence, advice = "Its workers are not running yet ("+why+").", "See `kubectl describe pods -l "+r.again(v1alpha1.LabelRestore, v1alpha1.LabelTransfer)+"="+r.Name+"`."
	case Blocked:
		sentence, advice = "It is blocked ("+why+").", "Fix what the message names"+r.again("; it is checked again within a minute.", "; `kubectl cargoship retry "+r.Name+"` checks it again at once.")
	case Budget:
		sentence, advice = "It would cost more than its budget ("+why+").", "Raise spec.budget.maxCost, pack small files with packing Tar, or choose another storage class: `cargoship estimate` compares them."
	case Finishing:
		sentence, advice = "All files are processed; what is left is to check and close the run ("+why+").", "Wait: a pod compares the counts with what is stored."
	case NoLeader:
		sentence = "No manager leads: the leases of all workers have expired, and each goes on with at most what it was granted last, for an hour; then with one request at a time."
		if !r.ObservedStatus {
			sentence = "No manager has processed it yet."
		}
		advice = "Check the pods of the manager, in the namespace that CargoShip is installed in."
	default:
		return "", "", false
	}
	return sentence, advice, true
}

// again chooses between the words for a restore and those for a transfer, which alone is retried by a command.
func (r Run) again(restore, transfer string) string {
	if r.Kind == workload.KindRestore {
		return restore
	}
	return transfer
}

func end(r Run) (sentence, advice string) {
	if !r.Is(v1alpha1.ConditionFailed) {
		return "It is complete.", ""
	}
	c := meta.FindStatusCondition(r.Conditions, v1alpha1.ConditionFailed)
	return fmt.Sprintf("It has failed (%s: %s).", c.Reason, c.Message), "Fix the cause, then " + r.again("create another ArchiveRestore: what is restored is not fetched again.", "`kubectl cargoship retry "+r.Name+"` runs it again.")
}

// evidence lists the figures of a run in progress.
func (v view) evidence(r Run) []Fact {
	var facts []Fact
	add := func(name, format string, args ...any) {
		facts = append(facts, Fact{name, fmt.Sprintf(format, args...)})
	}
	if v.slots > 0 {
		add("granted", "%d requests in flight; workers say %s", v.slots, v.split())
	}
	if m := r.Coordination.Metrics; m != nil && m.PipelineUtilizationPercent != nil {
		add("in use", "%d %%", *m.PipelineUtilizationPercent)
	}
	if c := r.Coordination; c.State != "" {
		add("window", "%d requests in flight, state %s", ptr.Deref(c.Window, 0), c.State)
		add("rate", "%s", rate(ptr.Deref(c.MilliRequestsPerSecond, 0)))
		if c.Reason != "" {
			add("last decision", "%s", c.Reason)
		}
	}
	if p := worst(r); p.Name != "" {
		add("throttled", "%.1f %% of recent requests on prefix %q", float64(ptr.Deref(p.ThrottledPerMille, 0))/10, p.Name)
	}
	if p := slowest(r); p.ServiceP50Microseconds != nil {
		add("service time", "%s median, %s 99th percentile, on prefix %q",
			milliseconds(p.ServiceP50Microseconds), milliseconds(p.ServiceP99Microseconds), p.Name)
	}
	if v.cpu > 0 {
		of := "no limit"
		if r.CPULimit > 0 {
			of = fmt.Sprintf("a limit of %.2f", float64(r.CPULimit)/1000)
		}
		add("processors", "%.2f in use by the busiest worker, with %s", float64(v.cpu)/1000, of)
	}
	if text := r.causes(); text != "" {
		add("congestion so far", "%s", text)
	}
	add("workers", "%d of %d reporting, %d without a lease, %d blocked",
		v.reporting, ptr.Deref(r.Workers.Desired, 0), v.expired, ptr.Deref(r.Workers.Blocked, 0))
	return facts
}

// outcome lists the figures of a run that has ended.
func outcome(r Run) []Fact {
	files := func(t *v1alpha1.Tally) int64 { return ptr.Deref(ptr.Deref(t, v1alpha1.Tally{}).Files, 0) }
	facts := []Fact{{"files", fmt.Sprintf("%d planned, %d done, %d failed, %d skipped",
		files(r.Progress.Planned), files(r.Progress.Done), files(r.Progress.Failed), files(r.Progress.Skipped))}}
	if r.Progress.Throughput != "" {
		facts = append(facts, Fact{"mean throughput", r.Progress.Throughput})
	}
	return facts
}

// split lists how many slots each limit accounts for, by the workers' reports.
func (v view) split() string {
	var parts []string
	for _, by := range []v1alpha1.Bottleneck{v1alpha1.LimitedByWindow, v1alpha1.LimitedByRate, v1alpha1.LimitedBySource, v1alpha1.LimitedByPolicy} {
		if n := v.by[by]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", by, n))
		}
	}
	return strings.Join(parts, ", ")
}

func (r Run) causes() string {
	if r.Coordination.Metrics == nil {
		return ""
	}
	var parts []string
	for _, c := range r.Coordination.Metrics.CongestionCauses {
		parts = append(parts, fmt.Sprintf("%s %d", c.Cause, ptr.Deref(c.Count, 0)))
	}
	return strings.Join(parts, ", ")
}

func rate(milli int64) string {
	if milli == 0 {
		return "unpaced"
	}
	return fmt.Sprintf("%.1f requests per second", float64(milli)/1000)
}

func milliseconds(us *int64) string { return fmt.Sprintf("%.0f ms", float64(ptr.Deref(us, 0))/1000) }

// slowest is the prefix with the longest median service time.
func slowest(r Run) v1alpha1.PrefixStatus {
	var out v1alpha1.PrefixStatus
	for _, p := range r.Prefixes {
		if ptr.Deref(p.ServiceP50Microseconds, 0) > ptr.Deref(out.ServiceP50Microseconds, 0) {
			out = p
		}
	}
	return out
}
