package ui

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/kubectl/view"
	"cargoship.dev/operator/internal/workload"
)

var epoch = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// moving is a transfer in progress.
func moving(name string, bytesPerSecond int64) view.Item {
	return view.Item{Run: explain.Run{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, UID: types.UID(name + "-uid")}, Kind: workload.KindTransfer,
		Progress: v1alpha1.Progress{BytesPerSecond: ptr.To(bytesPerSecond), Throughput: "1 KiB/s"},
		Coordination: v1alpha1.CoordinationStatus{Domain: "s3/archive", State: "SlowStart", Window: ptr.To(int32(8)), MilliRequestsPerSecond: ptr.To(int64(2500)),
			Metrics: &v1alpha1.CoordinationMetrics{BytesPerSecond: ptr.To(int64(2048))}},
		Prefixes: []v1alpha1.PrefixStatus{{Name: "p", Window: ptr.To(int32(8)), ThrottledPerMille: ptr.To(int32(15)), ServiceP50Microseconds: ptr.To(int64(40_000))}},
	}}
}

func look(second int, items ...view.Item) Look {
	return Look{At: epoch.Add(time.Duration(second) * time.Second), Items: items}
}

func hasEnded(item view.Item, condition string) view.Item {
	item.Run.Conditions = []metav1.Condition{{Type: condition, Status: metav1.ConditionTrue, Reason: "R", LastTransitionTime: metav1.NewTime(epoch)}}
	return item
}

func TestWhatVanishesStaysAsGone(t *testing.T) {
	var m Memory
	m.Take(look(0, moving("a", 1024)))
	m.Take(look(2))
	p, _ := m.Picture("a-uid", Mark{})
	if len(p.Runs) != 1 || p.Runs[0].Gone == nil || !p.Runs[0].Gone.Equal(epoch.Add(2*time.Second)) {
		t.Fatalf("the list has %+v", p.Runs)
	}
	if p.Run == nil || p.Run.Figures.Throughput != "1 KiB/s" || len(p.Run.Track.Times) != 1 {
		t.Errorf("of what is gone the page shows %+v", p.Run)
	}
	if len(p.Destinations) != 0 {
		t.Errorf("it still uses %+v", p.Destinations)
	}
	m.Take(look(4))
	if p, _ = m.Picture("", Mark{}); !p.Runs[0].Gone.Equal(epoch.Add(2 * time.Second)) {
		t.Error("it goes a second time")
	}
	m.Take(look(6, moving("a", 1)))
	if p, _ = m.Picture("", Mark{}); p.Runs[0].Gone != nil {
		t.Error("it is gone though it is there")
	}
}

func TestWhatCannotBeListedIsNotGone(t *testing.T) {
	var m Memory
	m.Take(look(0, moving("a", 1024)))
	l := look(2)
	l.Unread, l.Problems = []string{workload.KindTransfer}, []string{"list archivetransfers: not allowed"}
	m.Take(l)
	p, _ := m.Picture("", Mark{})
	if p.Runs[0].Gone != nil {
		t.Error("it is shown as gone")
	}
	if len(p.Problems) != 1 {
		t.Errorf("problems: %q", p.Problems)
	}
}

// The mean of a run, which its status has once it has ended, is no point of its curve.
func TestTheCurveEndsWithTheRun(t *testing.T) {
	var m Memory
	m.Take(look(0, moving("a", 1024)))
	m.Take(look(2, hasEnded(moving("a", 512), v1alpha1.ConditionComplete)))
	p, _ := m.Picture("a-uid", Mark{})
	if len(p.Run.Track.Times) != 1 {
		t.Errorf("it has points at %v", p.Run.Track.Times)
	}
	if !p.Run.Ended || p.Run.Tone != "good" {
		t.Errorf("it is %+v", p.Run.Summary)
	}
}

func TestTheCourseTellsWhatChanged(t *testing.T) {
	var m Memory
	first := moving("a", 1)
	first.Answer.LimitedBy = v1alpha1.LimitWindow
	m.Take(look(0, first))
	second := hasEnded(moving("a", 1), v1alpha1.ConditionThrottled)
	second.Run.Coordination.State, second.Run.Coordination.Reason = "FastRecovery", "Throttled"
	second.Answer = explain.Answer{LimitedBy: v1alpha1.LimitPolicer, Sentence: "It throttles."}
	l := look(2, second)
	l.Events = []corev1.Event{
		{ObjectMeta: metav1.ObjectMeta{UID: "e"}, InvolvedObject: corev1.ObjectReference{UID: "a-uid"}, Type: corev1.EventTypeWarning, Reason: "Slow", Message: "very", LastTimestamp: metav1.NewTime(epoch.Add(time.Second))},
		{ObjectMeta: metav1.ObjectMeta{UID: "f"}, InvolvedObject: corev1.ObjectReference{UID: "another"}, Reason: "Not mine"},
	}
	m.Take(l)
	m.Take(l) // Nothing of it is told twice.
	p, _ := m.Picture("a-uid", Mark{})
	var got []string
	for _, e := range p.Run.Course {
		got = append(got, e.Kind+" "+e.Tone+" "+e.Title)
	}
	want := "Control  FastRecovery, Control  limited by Policer, Event warn Slow, Condition warn Throttled True"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("it tells %q, want %q", text, want)
	}
}

func TestTheCourseIsBounded(t *testing.T) {
	r := remembered{course: map[string]Entry{}}
	for i := range 3 * mostEntries {
		r.note(time.Duration(i).String(), Entry{At: epoch.Add(time.Duration(i) * time.Second)})
	}
	if len(r.course) != mostEntries {
		t.Errorf("it keeps %d entries", len(r.course))
	}
	if _, kept := r.course[time.Duration(3*mostEntries-1).String()]; !kept {
		t.Error("it forgets the latest")
	}
}

func TestRunsOfADestinationShareIt(t *testing.T) {
	var m Memory
	l := look(0, moving("a", 1), moving("b", 1), hasEnded(moving("c", 1), v1alpha1.ConditionComplete))
	l.Profiles = []v1alpha1.DestinationProfile{{Spec: v1alpha1.DestinationProfileSpec{Domain: "s3/archive"}, Status: v1alpha1.DestinationProfileStatus{Window: ptr.To(int32(9))}}}
	m.Take(l)
	p, _ := m.Picture("", Mark{})
	if len(p.Destinations) != 1 {
		t.Fatalf("destinations: %+v", p.Destinations)
	}
	d := p.Destinations[0]
	if strings.Join(d.Runs, " ") != "n/a n/b" || d.Window != "8" || d.Rate != "2.5/s" || d.Throughput != "2.00 KiB/s" || d.Learned != "9" {
		t.Errorf("it is %+v", d)
	}
}

// Whatever names and messages hold, no control character of it reaches the page.
func TestNoControlCharacterLeaves(t *testing.T) {
	const hostile = "\x1b]0;x\a</script>\u202e\x00\r\n"
	item := moving(hostile, 1)
	item.Run.UID = "u"
	item.Run.Namespace, item.Run.Source, item.Run.Destination = hostile, hostile, hostile
	item.Run.Progress.Summary, item.Run.Progress.Throughput = hostile, hostile
	item.Run.Coordination.Domain, item.Run.Coordination.State, item.Run.Coordination.Reason = hostile, hostile, hostile
	item.Run.Prefixes[0].Name = hostile
	item.Run.Failures = []v1alpha1.ArchiveFailure{{Prefix: hostile, Reason: hostile, Message: hostile}}
	item.Run.Conditions = []metav1.Condition{{Type: hostile, Reason: hostile, Message: hostile}}
	item.Leases = []v1alpha1.PrefixLease{{ObjectMeta: metav1.ObjectMeta{Name: hostile}}}
	item.Answer = explain.Explain(item.Run, item.Leases)
	item.Answer.Sentence, item.Answer.Advice = hostile, hostile
	l := look(0, item)
	l.Problems = []string{hostile}
	l.Events = []corev1.Event{{InvolvedObject: corev1.ObjectReference{UID: "u"}, Reason: hostile, Message: hostile}}
	var m Memory
	m.Take(l)
	item.Run.Coordination.State = hostile + "2"
	m.Take(look(2, item))
	p, _ := m.Picture("u", Mark{})
	text, err := json.Marshal(p)
	if err != nil || p.Run == nil {
		t.Fatal(err)
	}
	var back any
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	eachText(back, func(s string) {
		if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("the page gets %q", s)
		}
	})
}

// The page goes through lists without asking whether there is one.
func TestListsAreListsEvenIfEmpty(t *testing.T) {
	var m Memory
	bare := view.Item{Run: explain.Run{ObjectMeta: metav1.ObjectMeta{UID: "u"}}}
	for name, item := range map[string]view.Item{"new": bare, "ended": hasEnded(bare, v1alpha1.ConditionFailed)} {
		m.Take(look(0, item))
		p, _ := m.Picture("u", Mark{})
		text, err := json.Marshal(p)
		if err != nil || strings.Contains(string(text), "null") {
			t.Errorf("%s: %s, %v", name, text, err)
		}
		m = Memory{}
	}
	p, _ := m.Picture("nobody", Mark{})
	if text, err := json.Marshal(p); err != nil || strings.Contains(string(text), "null") {
		t.Errorf("nothing: %s, %v", text, err)
	}
}

func eachText(value any, do func(string)) {
	switch v := value.(type) {
	case string:
		do(v)
	case []any:
		for _, one := range v {
			eachText(one, do)
		}
	case map[string]any:
		for _, one := range v {
			eachText(one, do)
		}
	}
}
