package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/workload"
)

// podBytes is about how large a worker's pod is in the cache.
const podBytes = 12 << 10

// fleet is a transfer with its workers, as the manager knows them.
type fleet struct {
	options  options
	now      time.Time
	random   *rand.Rand
	core     *coordination.PipelineCoordinator
	transfer *v1alpha1.ArchiveTransfer
	leases   []*v1alpha1.PrefixLease
	byName   map[string]*v1alpha1.PrefixLease
	pods     []*corev1.Pod
	copies   []runtime.Object
	finished int64
}

func newFleet(o options) (*fleet, error) {
	f := &fleet{
		options: o, now: time.Unix(1_000_000, 0), random: rand.New(rand.NewPCG(2, 2)),
		transfer: &v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{Namespace: "bench", Name: "transfer", UID: "uid"}},
		byName:   map[string]*v1alpha1.PrefixLease{},
	}
	for i := range o.workers {
		meta := metav1.ObjectMeta{Namespace: "bench", Name: fmt.Sprintf("transfer-workers-%d-abcde", i), UID: "pod"}
		lease := &v1alpha1.PrefixLease{ObjectMeta: meta, Status: v1alpha1.PrefixLeaseStatus{Instance: meta.Name, MaxInFlight: new(int32(64))}}
		pod := &corev1.Pod{ObjectMeta: meta}
		pod.Annotations = map[string]string{"ballast": strings.Repeat("x", podBytes)}
		if err := decoded(pod); err != nil {
			return nil, err
		}
		f.leases, f.pods, f.byName[meta.Name] = append(f.leases, lease), append(f.pods, pod), lease
	}
	return f, nil
}

// decoded makes an object as it comes from the API, with strings of its own.
func decoded[T any](object *T) error {
	data, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode an object: %w", err)
	}
	*object = *new(T)
	if err := json.Unmarshal(data, object); err != nil {
		return fmt.Errorf("decode an object: %w", err)
	}
	return nil
}

func (f *fleet) id() protocol.TransferID { return protocol.TransferID(f.transfer.UID) }

func (f *fleet) workload() *workload.Workload { return workload.Of(f.transfer) }

func (f *fleet) names() []string {
	names := make([]string, f.options.prefixes)
	for i := range names {
		names[i] = fmt.Sprintf("prefix-%02d", i)
	}
	return names
}

// work is what a worker does between two reports: it ends about half of its archives,
// in any order, and counts on every prefix there is.
func (f *fleet) work(lease *v1alpha1.PrefixLease) {
	s, spec := &lease.Status, lease.Spec
	sequence := int64(1)
	if s.ReportSequence != nil {
		sequence = *s.ReportSequence + 1
	}
	s.ReportSequence, s.ObservedEpoch, s.ObservedSequence = &sequence, new(spec.Epoch), new(spec.Sequence)
	s.UptimeMilliseconds = new(20_000 * sequence)
	s.Finished, s.Prefixes = nil, s.Prefixes[:0]
	for _, name := range f.names() {
		n := 100 * sequence
		s.Prefixes = append(s.Prefixes, v1alpha1.PrefixReport{
			Name: name, Started: new(n), Accepted: new(n), Throttled: new(int64(0)), Failed: new(int64(0)),
			Bytes: new(n << 20), BusyMicroseconds: new(n * 100_000), MaxInFlight: new(int32(8)),
			AttemptP50Microseconds: new(int64(100_000)), ServiceP50Microseconds: new(int64(90_000)), ServiceP99Microseconds: new(int64(200_000)),
		})
	}
	files := f.options.files / f.options.archives
	for _, p := range spec.Prefixes {
		for _, a := range p.Archives {
			if f.random.IntN(2) == 0 {
				continue
			}
			f.finished++
			s.Finished = append(s.Finished, v1alpha1.FinishedArchive{
				Result: v1alpha1.ArchiveFinished,
				Prefix: p.Name, Number: a.Number, Done: &v1alpha1.Tally{Files: new(files), Bytes: new(files << 20)},
			})
		}
	}
}

// record writes the status of the transfer, as it comes back from the API.
func (f *fleet) record() error {
	progress := f.core.Progress(f.id())
	f.transfer.Status.Progress, f.transfer.Status.Prefixes = convert.Progress(progress), convert.PrefixStatuses(progress.Prefixes)
	f.copies = append(f.copies, f.transfer.DeepCopy())
	return decoded(f.transfer)
}

// recordedBytes is how large the recorded ranges of all prefixes are.
func (f *fleet) recordedBytes() (sum int) {
	for _, p := range f.transfer.Status.Prefixes {
		sum += len(*p.FinishedArchives)
	}
	return sum
}
