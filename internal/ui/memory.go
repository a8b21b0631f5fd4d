package ui

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/kubectl/view"
)

// mostEntries is how many entries the course of a run keeps, the latest: more than anybody
// reads of one.
const mostEntries = 200

// Memory is what is known of all runs that were seen. The zero value has seen none.
type Memory struct {
	last Look
	runs map[string]*remembered // by UID
}

// remembered is a run, with its past since it was first seen.
type remembered struct {
	item view.Item
	// gone is when it was found to be no longer there.
	gone   time.Time
	track  Track
	meters map[string]meter
	// course are the entries by what tells them apart.
	course map[string]Entry
}

// Entry is something that has happened to a run.
type Entry struct {
	At time.Time `json:"at"`
	// Kind is Condition, Event or Control.
	Kind string `json:"kind"`
	// Tone is good, warn, bad or empty.
	Tone string `json:"tone"`
	// Title is a word or two, Text the rest.
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Take takes a look in.
func (m *Memory) Take(l Look) {
	if m.runs == nil {
		m.runs = map[string]*remembered{}
	}
	m.last = l
	seen := map[string]bool{}
	for _, item := range l.Items {
		uid := string(item.Run.UID)
		seen[uid] = true
		r := m.runs[uid]
		if r == nil {
			r = &remembered{course: map[string]Entry{}}
			m.runs[uid] = r
		}
		r.take(item, l.At)
	}
	for uid, r := range m.runs {
		if !seen[uid] && r.gone.IsZero() && !slices.Contains(l.Unread, r.item.Run.Kind) {
			r.gone = l.At
		}
	}
	for i := range l.Events {
		if r := m.runs[string(l.Events[i].InvolvedObject.UID)]; r != nil {
			r.note("event "+string(l.Events[i].UID), eventEntry(&l.Events[i]))
		}
	}
}

func (r *remembered) take(item view.Item, at time.Time) {
	before, first := r.item, r.item.Run.UID == ""
	r.item, r.gone = item, time.Time{}
	for _, c := range item.Run.Conditions {
		if !forOtherTools(c.Type) {
			r.note(fmt.Sprintf("condition %s %s %s %s", c.Type, c.Status, c.Reason, c.LastTransitionTime), conditionEntry(c))
		}
	}
	if state := item.Run.Coordination.State; !first && state != "" && state != before.Run.Coordination.State {
		r.note("state "+at.String(), Entry{At: at, Kind: "Control", Title: cli.Printable(state), Text: cli.Printable(item.Run.Coordination.Reason)})
	}
	if limit := item.Answer.LimitedBy; !first && limit != before.Answer.LimitedBy {
		r.note("limit "+at.String(), Entry{At: at, Kind: "Control", Title: "limited by " + cli.Printable(string(limit)), Text: cli.Printable(item.Answer.Sentence)})
	}
	if item.Run.Ended() {
		return // What its status has then is the mean of the run.
	}
	r.meters = measure(r.meters, item.Leases)
	r.track.Add(at, sampleOf(item, r.meters))
}

// note keeps an entry, and of too many the latest.
func (r *remembered) note(id string, e Entry) {
	r.course[id] = e
	if len(r.course) <= mostEntries {
		return
	}
	oldest := slices.MinFunc(slices.Collect(maps.Keys(r.course)), func(a, b string) int { return r.course[a].At.Compare(r.course[b].At) })
	delete(r.course, oldest)
}

// forOtherTools tells the conditions that repeat others under the names of kstatus.
func forOtherTools(condition string) bool {
	return slices.Contains([]string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled}, condition)
}

func conditionEntry(c metav1.Condition) Entry {
	e := Entry{At: c.LastTransitionTime.Time, Kind: "Condition", Title: cli.Printable(fmt.Sprintf("%s %s", c.Type, c.Status)),
		Text: cli.Printable(c.Reason + ": " + c.Message)}
	is := c.Status == metav1.ConditionTrue
	switch c.Type {
	case v1alpha1.ConditionComplete:
		e.Tone = map[bool]string{true: "good"}[is]
	case v1alpha1.ConditionFailed:
		e.Tone = map[bool]string{true: "bad"}[is]
	case v1alpha1.ConditionThrottled, v1alpha1.ConditionDegraded, v1alpha1.ConditionSuspended:
		e.Tone = map[bool]string{true: "warn"}[is]
	}
	return e
}

func eventEntry(e *corev1.Event) Entry {
	at := cmp.Or(e.LastTimestamp.Time, e.EventTime.Time, e.CreationTimestamp.Time)
	if e.Series != nil {
		at = e.Series.LastObservedTime.Time
	}
	tone := ""
	if e.Type == corev1.EventTypeWarning {
		tone = "warn"
	}
	return Entry{At: at, Kind: "Event", Tone: tone, Title: cli.Printable(e.Reason), Text: cli.Printable(e.Message)}
}
