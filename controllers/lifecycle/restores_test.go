package lifecycle

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// restoreOf is a restore of a transfer, created some seconds after another time.
func restoreOf(name string, seconds int) *v1alpha1.ArchiveRestore {
	ar := &v1alpha1.ArchiveRestore{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "ns", UID: "uid-r", CreationTimestamp: metav1.NewTime(testTime.Add(time.Duration(seconds) * time.Second))}}
	ar.Spec.From.TransferRef = &v1alpha1.TransferReference{Name: "t"}
	ar.Spec.To.PersistentVolumeClaim.ClaimName = "target"
	return ar
}

func claimWith(modes ...corev1.PersistentVolumeAccessMode) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "target"}, Spec: corev1.PersistentVolumeClaimSpec{AccessModes: modes}}
}

func endedTransfer() *v1alpha1.ArchiveTransfer {
	at := &v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{Name: "t", Namespace: "ns", UID: "uid-t"}}
	at.Spec.Destination.Location = v1alpha1.Location{Bucket: "b", Prefix: "p", Credentials: v1alpha1.Credentials{SecretName: "s"}}
	at.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	return at
}

func TestWhatHoldsARestore(t *testing.T) {
	running := endedTransfer()
	running.Status.Conditions = nil
	deleted := claimWith(corev1.ReadWriteMany)
	deleted.DeletionTimestamp = &metav1.Time{Time: testTime}
	secret := &corev1.Secret{Data: map[string][]byte{v1alpha1.SecretKeyAccessKeyID: []byte("k"), v1alpha1.SecretKeySecretAccessKey: []byte("s")}}
	tests := map[string]struct {
		p       prerequisites
		workers int32
		want    string
	}{
		"nothing":                                   {prerequisites{transfer: endedTransfer(), claim: claimWith(corev1.ReadWriteOnce), secret: secret}, 3, ""},
		"no such transfer":                          {prerequisites{claim: claimWith(corev1.ReadWriteMany), secret: secret}, 3, v1alpha1.ReasonTransferNotFound},
		"a transfer that runs":                      {prerequisites{transfer: running, claim: claimWith(corev1.ReadWriteMany), secret: secret}, 3, v1alpha1.ReasonTransferRunning},
		"no claim":                                  {prerequisites{transfer: endedTransfer(), secret: secret}, 3, v1alpha1.ReasonClaimNotFound},
		"a claim that can only be read":             {prerequisites{transfer: endedTransfer(), claim: claimWith(corev1.ReadOnlyMany), secret: secret}, 3, v1alpha1.ReasonClaimNotWritable},
		"a claim that is being deleted":             {prerequisites{transfer: endedTransfer(), claim: deleted, secret: secret}, 3, v1alpha1.ReasonClaimNotWritable},
		"a claim of one pod, and three workers":     {prerequisites{transfer: endedTransfer(), claim: claimWith(corev1.ReadWriteOncePod), secret: secret}, 3, v1alpha1.ReasonClaimNotWritable},
		"a claim of one pod, and one worker":        {prerequisites{transfer: endedTransfer(), claim: claimWith(corev1.ReadWriteOncePod), secret: secret}, 1, ""},
		"another restore into the same directory":   {prerequisites{transfer: endedTransfer(), claim: claimWith(corev1.ReadWriteMany), secret: secret, busy: restoreOf("o", 0)}, 3, v1alpha1.ReasonTargetBusy},
		"no Secret that the transfer's place needs": {prerequisites{transfer: endedTransfer(), claim: claimWith(corev1.ReadWriteMany)}, 3, v1alpha1.ReasonSecretNotFound},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ar := restoreOf("r", 0)
			ar.Spec.Workers.Count = tc.workers
			at := workload.Of(ar)
			at.ReadsFrom(sourceOf(ar, tc.p.transfer))
			got := ""
			if v := firstViolation(preconditions(at), at, tc.p); v != nil {
				got = v.reason
			}
			if got != tc.want {
				t.Errorf("held for %q, want %q", got, tc.want)
			}
		})
	}
}

// All workers of a restore must find the same run, however long after one another they look.
func TestARestoreNamesItsRunOnce(t *testing.T) {
	ar := restoreOf("r", 0)
	if s := sourceOf(ar, endedTransfer()); s.Run.ID != "uid-t" || s.Location.Bucket != "b" {
		t.Errorf("the source of a transfer is %+v", s)
	}
	ar.Spec.From = v1alpha1.RestoreSource{Location: &v1alpha1.Location{Bucket: "c"}}
	if s := sourceOf(ar, nil); s.Run.Before == nil || s.Run.Before.Sub(ar.CreationTimestamp.Time) != time.Second {
		t.Errorf("the latest run is %+v", s)
	}
	ar.Spec.From.Run = &v1alpha1.RunSelector{ID: "x"}
	if s := sourceOf(ar, nil); s.Run.ID != "x" || s.Location.Bucket != "c" {
		t.Errorf("the run that is named is %+v", s)
	}
}

func TestOneRestoreAtATimeInADirectory(t *testing.T) {
	older, younger := restoreOf("a", 0), restoreOf("b", 1)
	older.UID, younger.UID = "1", "2"
	if o := before(younger, []v1alpha1.ArchiveRestore{*older, *younger}); o == nil || o.Name != "a" {
		t.Errorf("the younger waits for %v", o)
	}
	if o := before(older, []v1alpha1.ArchiveRestore{*older, *younger}); o != nil {
		t.Errorf("the older waits for %s", o.Name)
	}
	younger.Status.StartTime = &metav1.Time{Time: testTime}
	if o := before(older, []v1alpha1.ArchiveRestore{*younger}); o == nil {
		t.Error("one that runs is not waited for")
	}
	for path, overlaps := range map[string]bool{"": true, "x": false, "a": true, "a/b/c": true, "a/bc": false, "a/b/": true} {
		older.Spec.To.Path, younger.Spec.To.Path = "a/b", path
		if got := before(older, []v1alpha1.ArchiveRestore{*younger}) != nil; got != overlaps {
			t.Errorf("a/b and %q overlap: %t, want %t", path, got, overlaps)
		}
	}
	younger.Spec.To.Path = ""
	younger.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue}}
	if o := before(older, []v1alpha1.ArchiveRestore{*younger}); o != nil {
		t.Error("one that has ended is waited for")
	}
}

// restoreJobs are the Jobs of a restore into a claim.
func restoreJobs(t *testing.T, claim *corev1.PersistentVolumeClaim) (workers, finish *batchv1.Job) {
	t.Helper()
	ar := restoreOf("t", 0)
	ar.Spec.From.Include = []string{"$(HOME)/*"}
	at := workload.Of(ar)
	at.ReadsFrom(sourceOf(ar, endedTransfer()))
	workers, err := workersJob(at, claim, "image", AllowedSources{})
	if err != nil {
		t.Fatal(err)
	}
	if finish, err = closingJob(at, "image", false); err != nil {
		t.Fatal(err)
	}
	return workers, finish
}

func TestTheJobsOfARestore(t *testing.T) {
	workers, finish := restoreJobs(t, claimWith(corev1.ReadWriteMany))
	transfers := jobsOf(t, transferFrom(v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "c"}}, v1alpha1.Credentials{SecretName: "s"}), AllowedSources{})
	for _, job := range []*batchv1.Job{workers, finish} {
		for _, other := range transfers {
			if job.Name == other.Name {
				t.Errorf("a restore and a transfer of one name share Job %s", job.Name)
			}
		}
		pod := job.Spec.Template.Spec
		container := pod.Containers[0]
		for _, m := range container.VolumeMounts {
			if writable := m.Name == "target"; m.ReadOnly == writable {
				t.Errorf("Job %s mounts %s read-only: %t", job.Name, m.Name, m.ReadOnly)
			}
		}
		if !slices.Contains(container.Args, "--target-dir=/target") || pod.SecurityContext.FSGroup == nil || pod.Affinity != nil {
			t.Errorf("Job %s has arguments %v, group %v, affinity %v", job.Name, container.Args, pod.SecurityContext.FSGroup, pod.Affinity)
		}
		text := envOf(container, v1alpha1.RestoreConfigEnv)
		var given v1alpha1.ArchiveRestore
		if err := json.Unmarshal([]byte(strings.ReplaceAll(text, "$$", "$")), &given); err != nil {
			t.Fatal(err)
		}
		from := given.Spec.From
		if from.TransferRef != nil || from.Location == nil || from.Location.Bucket != "b" || from.Run.ID != "uid-t" || from.Include[0] != "$(HOME)/*" {
			t.Errorf("Job %s hands over %s", job.Name, text)
		}
		if owner := metav1.GetControllerOf(job); owner.Kind != workload.KindRestore || job.Labels[v1alpha1.LabelRestore] != "t" || job.Labels[v1alpha1.LabelTransfer] != "" {
			t.Errorf("Job %s belongs to %+v, with labels %v", job.Name, owner, job.Labels)
		}
	}
}

// A claim that one node at a time can have puts all workers on one, unless the user says where they go.
func TestWorkersOfARestoreGoWhereTheirClaimIs(t *testing.T) {
	workers, _ := restoreJobs(t, claimWith(corev1.ReadWriteOnce))
	affinity := workers.Spec.Template.Spec.Affinity
	if affinity == nil || affinity.PodAffinity == nil || len(workers.Spec.Template.Spec.TopologySpreadConstraints) != 0 {
		t.Errorf("the workers spread: %+v", affinity)
	}
}

func TestTheWordsOfARestore(t *testing.T) {
	s := makeScenario().workersJob().lease("").progress(planningComplete, 2, 1, 0)
	s.transfer = restoring(s.transfer)
	if d := decide(s.input); d.reason != v1alpha1.ReasonRestoring || !d.progressing {
		t.Errorf("while it restores: %+v", d)
	}
	s = makeScenario().closingJob(batchv1.JobComplete).progress(planningComplete, 2, 2, 0)
	s.transfer = restoring(s.transfer)
	if d := decide(s.input); d.failed || d.reason != v1alpha1.ReasonComplete || !strings.Contains(d.message, "restored") {
		t.Errorf("at the end: %+v", d)
	}
}

// restoring is a restore with the status of a workload.
func restoring(w *workload.Workload) *workload.Workload {
	r := workload.Of(restoreOf("r", 0))
	r.Status = w.Status
	return r
}
