package notify

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// typePrefix begins the type of every event.
const typePrefix = "dev.cargoship."

// Ended is the data of an event: how a transfer or a restore has ended.
type Ended struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Outcome is Complete or Failed, Reason and Message are those of the condition.
	Outcome        string    `json:"outcome"`
	Reason         string    `json:"reason"`
	Message        string    `json:"message,omitempty"`
	Bucket         string    `json:"bucket,omitempty"`
	Prefix         string    `json:"prefix,omitempty"`
	StartTime      time.Time `json:"startTime,omitzero"`
	CompletionTime time.Time `json:"completionTime"`
	Files          Counts    `json:"files"`
	Bytes          Counts    `json:"bytes"`
	BytesPerSecond int64     `json:"bytesPerSecond"`
}

// Counts are files or bytes, by what became of them.
type Counts struct {
	Planned int64 `json:"planned"`
	Done    int64 `json:"done"`
	Failed  int64 `json:"failed"`
	Skipped int64 `json:"skipped"`
}

// Event is that of a workload that has ended. It is the same each time, so that a receiver that is
// told twice can tell by source and ID.
func Event(w *workload.Workload) (event.Event, error) {
	data, err := ended(w)
	if err != nil {
		return event.Event{}, err
	}
	e := event.New()
	e.SetID(ID(w))
	e.SetSource(fmt.Sprintf("/apis/%s/namespaces/%s/%ss/%s", v1alpha1.GroupVersion, w.Namespace, strings.ToLower(w.Kind), w.Name))
	outcome := "failed"
	if data.Outcome == v1alpha1.ConditionComplete {
		outcome = "completed"
	}
	e.SetType(typePrefix + strings.ToLower(strings.TrimPrefix(w.Kind, "Archive")) + "." + outcome)
	e.SetSubject(w.Namespace + "/" + w.Name)
	e.SetTime(data.CompletionTime)
	if err := e.SetData(event.ApplicationJSON, data); err != nil {
		return event.Event{}, fmt.Errorf("write the event of %v: %w", w, err)
	}
	return e, e.Validate()
}

// ID names the end of a workload, which ends once.
func ID(w *workload.Workload) string { return string(w.UID) }

func ended(w *workload.Workload) (Ended, error) {
	s := w.Status
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionFailed)
	if meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionComplete) {
		c = meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionComplete)
	}
	if c == nil || s.CompletionTime == nil {
		return Ended{}, fmt.Errorf("write the event of %v: it has not ended", w)
	}
	p := ptr.Deref(s.Progress, v1alpha1.Progress{})
	files := func(t *v1alpha1.Tally) int64 { return ptr.Deref(ptr.Deref(t, v1alpha1.Tally{}).Files, 0) }
	bytes := func(t *v1alpha1.Tally) int64 { return ptr.Deref(ptr.Deref(t, v1alpha1.Tally{}).Bytes, 0) }
	d := Ended{
		Kind: w.Kind, Namespace: w.Namespace, Name: w.Name, UID: string(w.UID),
		Outcome: c.Type, Reason: c.Reason, Message: c.Message, Bucket: w.Location.Bucket, Prefix: w.Location.Prefix,
		CompletionTime: s.CompletionTime.UTC(),
		Files:          Counts{files(p.Planned), files(p.Done), files(p.Failed), files(p.Skipped)},
		Bytes:          Counts{bytes(p.Planned), bytes(p.Done), bytes(p.Failed), bytes(p.Skipped)},
		BytesPerSecond: ptr.Deref(p.BytesPerSecond, 0),
	}
	if s.StartTime != nil {
		d.StartTime = s.StartTime.UTC()
	}
	return d, nil
}
