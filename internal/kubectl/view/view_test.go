package view

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/workload"
)

var update = flag.Bool("update", false, "write testdata anew")

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now().Add(-d)) }

func tally(files, bytes int64) *v1alpha1.Tally { return &v1alpha1.Tally{Files: &files, Bytes: &bytes} }

// moving is a transfer halfway, with two workers, throttled on one prefix.
func moving() Item {
	at := &v1alpha1.ArchiveTransfer{}
	at.Name, at.Namespace, at.CreationTimestamp = "photos", "media", ago(13*time.Minute)
	at.Spec.Source = v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "photos"}, Path: "raw"}
	at.Spec.Destination = v1alpha1.Destination{Location: v1alpha1.Location{Bucket: "archive", Prefix: "photos/2026"}}
	at.Status = v1alpha1.ArchiveTransferStatus{
		ObservedGeneration: ptr.To(int64(1)), StartTime: ptr.To(ago(12 * time.Minute)), EstimatedCompletionTime: ptr.To(ago(-4 * time.Minute)),
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonTransferring, Message: "workers are archiving the source"},
			{Type: v1alpha1.ConditionThrottled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonThrottling, LastTransitionTime: ago(time.Minute),
				Message: `the destination throttles requests to prefix "2024"; the workers have slowed down`},
		},
		Progress: &v1alpha1.Progress{Planning: "Complete", Percent: ptr.To(int32(63)), Summary: "2.52 GiB/4.00 GiB", Throughput: "118 MiB/s",
			Planned: tally(8000, 4<<30), Done: tally(5021, 2<<30+532<<20), Failed: tally(2, 4096), Skipped: tally(3, 0)},
		Coordination: &v1alpha1.CoordinationStatus{State: "CongestionAvoidance", Window: ptr.To(int32(48)), MilliRequestsPerSecond: ptr.To(int64(412500)),
			Metrics: &v1alpha1.CoordinationMetrics{PipelineUtilizationPercent: ptr.To(int32(93)),
				CongestionCauses: []v1alpha1.CongestionCause{{Cause: "Throttled", Count: ptr.To(int64(7))}}}},
		Workers: &v1alpha1.WorkersStatus{Desired: ptr.To(int32(3)), Leased: ptr.To(int32(2)), Blocked: ptr.To(int32(0))},
		Prefixes: []v1alpha1.PrefixStatus{
			{Name: "2024", Done: tally(3000, 1<<30), Planned: tally(5000, 2<<30), BytesPerSecond: ptr.To(int64(80 << 20)), Window: ptr.To(int32(32)),
				MilliRequestsPerSecond: ptr.To(int64(300000)), ThrottledPerMille: ptr.To(int32(31)), ServiceP50Microseconds: ptr.To(int64(41000)), ServiceP99Microseconds: ptr.To(int64(380000))},
			{Name: "2025", Done: tally(2021, 1<<30), Planned: tally(3000, 2<<30), BytesPerSecond: ptr.To(int64(38 << 20)), Window: ptr.To(int32(16)),
				ThrottledPerMille: ptr.To(int32(0)), ServiceP50Microseconds: ptr.To(int64(39000)), ServiceP99Microseconds: ptr.To(int64(120000))},
		},
		Failures: []v1alpha1.ArchiveFailure{{Prefix: "2024", Number: ptr.To(int64(17)), Reason: "Changed", Message: `"raw/a.dng" changed while it was read`}},
	}
	return itemOf(at, lease("photos-workers-0-x7k2p", v1alpha1.LimitedByRate), lease("photos-workers-1-9q4zt", v1alpha1.LimitedByRate))
}

// ended is that transfer after its end, as its status is settled then.
func ended() Item {
	at := &v1alpha1.ArchiveTransfer{}
	at.Name, at.Namespace, at.CreationTimestamp = "photos", "media", ago(13*time.Minute)
	at.Spec.Destination.Bucket = "archive"
	at.Status = v1alpha1.ArchiveTransferStatus{
		ObservedGeneration: ptr.To(int64(1)), StartTime: ptr.To(ago(12 * time.Minute)), CompletionTime: ptr.To(ago(2 * time.Minute)),
		Conditions: []metav1.Condition{is(v1alpha1.ConditionComplete, metav1.ConditionTrue, v1alpha1.ReasonComplete, "all files uploaded and verified")},
		Progress:   &v1alpha1.Progress{Percent: ptr.To(int32(100)), Summary: "4.00 GiB/4.00 GiB", Throughput: "6.83 MiB/s", Done: tally(8000, 4<<30)},
		Workers:    &v1alpha1.WorkersStatus{Desired: ptr.To(int32(0)), Leased: ptr.To(int32(0))},
		Prefixes:   []v1alpha1.PrefixStatus{{Name: "2024", Done: tally(8000, 4<<30), Planned: tally(8000, 4<<30)}},
	}
	return itemOf(at)
}

func lease(name string, by v1alpha1.Bottleneck) v1alpha1.PrefixLease {
	l := v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	l.Spec.Prefixes = []v1alpha1.PrefixGrant{{Name: "2024", Window: ptr.To(int32(16))}, {Name: "2025", Window: ptr.To(int32(8))}}
	l.Status.Instance = "i"
	for _, p := range l.Spec.Prefixes {
		l.Status.Prefixes = append(l.Status.Prefixes, v1alpha1.PrefixReport{Name: p.Name, MaxInFlight: ptr.To(int32(7)), Accepted: ptr.To(int64(2100)), Throttled: ptr.To(int64(63)), LimitedBy: by})
	}
	return l
}

func itemOf(at *v1alpha1.ArchiveTransfer, leases ...v1alpha1.PrefixLease) Item {
	run := explain.FromWorkload(workload.Of(at))
	return Item{Run: run, Leases: leases, Answer: explain.Explain(run, leases)}
}

// named is a transfer in a state without figures.
func named(name string, conditions ...metav1.Condition) Item {
	at := &v1alpha1.ArchiveTransfer{}
	at.Name, at.Namespace, at.CreationTimestamp = name, "media", ago(26*time.Hour)
	at.Spec.Destination.Bucket = "archive"
	at.Status.Conditions, at.Status.ObservedGeneration = conditions, ptr.To(int64(1))
	return itemOf(at)
}

func is(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: ago(time.Hour)}
}

func all() []Item {
	return []Item{
		moving(),
		named("blocked", is(v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound, "Secret s3 does not exist")),
		named("done", is(v1alpha1.ConditionComplete, metav1.ConditionTrue, v1alpha1.ReasonComplete, "all files are archived")),
		named("a-very-long-name-of-a-transfer-that-goes-on-for-50", is(v1alpha1.ConditionFailed, metav1.ConditionTrue, v1alpha1.ReasonFilesFailed, "3 files failed")),
		named("new"),
	}
}

func TestPictures(t *testing.T) {
	pipe, screen := Terminal{}, func(width int) Terminal { return Terminal{Width: width, Unicode: true} }
	hostile := named("gone", is(v1alpha1.ConditionProgressing, metav1.ConditionFalse, "Odd", "open \x1b[2J\x07 \u202egnp: größer"))
	for name, text := range map[string]string{
		"list-pipe":       List(all(), now(), pipe, Options{}),
		"list-wide":       List(all(), now(), screen(80), Options{Wide: true, Namespaces: true}),
		"list-40":         List(all(), now(), screen(40), Options{}),
		"list-80":         List(all(), now(), screen(80), Options{}),
		"list-200-bars":   List(all(), now(), screen(200), Options{Bars: true}),
		"list-120-color":  List(all(), now(), Terminal{Width: 120, Color: true}, Options{Bars: true}),
		"detail-pipe":     Detail(moving(), now(), pipe),
		"detail-40":       Detail(moving(), now(), screen(40)),
		"detail-80":       Detail(moving(), now(), screen(80)),
		"detail-ended":    Detail(ended(), now(), screen(80)),
		"detail-blocked":  Detail(all()[1], now(), screen(80)),
		"detail-hostile":  Detail(hostile, now(), Terminal{Width: 60}),
		"explain-80":      Answer(moving(), screen(80)),
		"explain-40":      Answer(moving(), screen(40)),
		"explain-done":    Answer(all()[2], pipe),
		"lines":           Line(moving(), now()) + "\n" + Line(all()[1], now()) + "\n",
		"screen-10-lines": Screen(Detail(moving(), now(), screen(80)), "", now(), screen(80), 10),
		"screen-stale":    Screen(List(all(), now(), screen(80), Options{}), "cannot reach the cluster", now(), screen(80), 24),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(text, "\n")); diff != "" {
				t.Errorf("not as in %s; -update writes it anew (-want +got):\n%s", file, diff)
			}
		})
	}
}

// Nothing that an object holds reaches the terminal raw, and no line is longer than it.
func TestNoPictureBreaksTheTerminal(t *testing.T) {
	hostile := rapid.StringMatching("[a-z\x1b\x07\\[\\n\r\u202eäß日]{0,60}")
	rapid.Check(t, func(t *rapid.T) {
		item := moving()
		item.Run.Name, item.Run.Source, item.Run.Destination = hostile.Draw(t, "name"), hostile.Draw(t, "source"), hostile.Draw(t, "destination")
		item.Run.Progress.Summary, item.Run.Progress.Throughput = hostile.Draw(t, "summary"), hostile.Draw(t, "throughput")
		item.Run.Prefixes[0].Name, item.Leases[0].Name = hostile.Draw(t, "prefix"), hostile.Draw(t, "worker")
		item.Run.Conditions[0].Reason, item.Run.Conditions[1].Message = hostile.Draw(t, "reason"), hostile.Draw(t, "message")
		item.Run.Failures[0].Message = hostile.Draw(t, "failure")
		item.Answer = explain.Explain(item.Run, item.Leases)
		term := Terminal{Width: rapid.IntRange(40, 200).Draw(t, "width"), Unicode: rapid.Bool().Draw(t, "unicode")}
		for name, text := range map[string]string{
			"list": List([]Item{item}, now(), term, Options{Bars: true, Namespaces: true}), "detail": Detail(item, now(), term),
			"answer": Answer(item, term), "screen": Screen("x", hostile.Draw(t, "note"), now(), term, 24),
		} {
			for _, line := range strings.Split(text, "\n") {
				if problem := broken(line, term); problem != "" {
					t.Fatalf("%s: %s: %q", name, problem, line)
				}
			}
		}
	})
}

func broken(line string, t Terminal) string {
	if n := uniseg.StringWidth(line); n > t.Width {
		return fmt.Sprintf("%d columns of %d", n, t.Width)
	}
	for _, r := range line {
		if r < ' ' || r == 0x7f || r == '\u202e' || !t.Unicode && r >= utf8.RuneSelf {
			return fmt.Sprintf("character %U", r)
		}
	}
	return ""
}
