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
		"a claim of one pod, which has it":          {prerequisites{transfer: endedTransfer(), claim: claimWith(corev1.ReadWriteOncePod), secret: secret, user: &corev1.Pod{}}, 1, v1alpha1.ReasonClaimInUse},
		"a claim of one node, on which it is used":  {prerequisites{transfer: endedTransfer(), claim: claimWith(corev1.ReadWriteOnce), secret: secret, user: &corev1.Pod{}}, 3, ""},
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
	workers, err := workersJob(at, placementOf(prerequisites{claim: claim}), "image", AllowedSources{})
	if err != nil {
		t.Fatal(err)
	}
	if finish, err = finishJob(at, "image", false); err != nil {
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

// Where somebody uses the claim, only that node can have it.
func TestWorkersOfARestoreGoWhereTheirClaimIsUsed(t *testing.T) {
	user := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node-2"}}
	for _, mode := range []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadWriteMany} {
		pod := corev1.PodSpec{TopologySpreadConstraints: make([]corev1.TopologySpreadConstraint, 1)}
		placementOf(prerequisites{claim: claimWith(mode), user: user}).place(&pod, workload.Of(restoreOf("r", 0)))
		text, err := json.Marshal(pod.Affinity)
		if err != nil {
			t.Fatal(err)
		}
		if pinned := strings.Contains(string(text), `"node-2"`); pinned != (mode == corev1.ReadWriteOnce) {
			t.Errorf("%s: the affinity is %s", mode, text)
		}
	}
}

func TestWhoUsesAClaim(t *testing.T) {
	at := workload.Of(restoreOf("r", 0))
	using := func(change func(*corev1.Pod)) []corev1.Pod {
		p := corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "target"}}}}}}
		p.Status.Phase = corev1.PodRunning
		change(&p)
		return []corev1.Pod{p}
	}
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"a pod that runs":        {func(*corev1.Pod) {}, true},
		"one that has ended":     {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, false},
		"one that has no node":   {func(p *corev1.Pod) { p.Spec.NodeName = "" }, false},
		"one of another claim":   {func(p *corev1.Pod) { p.Spec.Volumes[0].PersistentVolumeClaim.ClaimName = "other" }, false},
		"one without a claim":    {func(p *corev1.Pod) { p.Spec.Volumes = nil }, false},
		"one of the restore":     {func(p *corev1.Pod) { p.Labels = map[string]string{v1alpha1.LabelTransferUID: "uid-r"} }, false},
		"one of another restore": {func(p *corev1.Pod) { p.Labels = map[string]string{v1alpha1.LabelTransferUID: "uid-o"} }, true},
	} {
		if got := userOf("target", at, using(tc.change)) != nil; got != tc.want {
			t.Errorf("%s: uses it: %t, want %t", name, got, tc.want)
		}
	}
}

// While objects are thawed a restore progresses, whatever else it waits for.
func TestTheWordsOfAThaw(t *testing.T) {
	s := makeScenario().workersJob().lease("")
	s.transfer = restoring(s.transfer)
	s.leases[0].Status.Conditions = []metav1.Condition{{Type: v1alpha1.LeaseConditionThawing, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonThawing, Message: "thaw 3 objects"}}
	if d := decide(s.input); d.reason != v1alpha1.ReasonThawing || !d.progressing || !strings.Contains(d.message, "thaw 3 objects") {
		t.Errorf("while it thaws: %+v", d)
	}
}

func TestTheWordsOfARestore(t *testing.T) {
	s := makeScenario().workersJob().lease("").progress(planningComplete, 2, 1, 0)
	s.transfer = restoring(s.transfer)
	if d := decide(s.input); d.reason != v1alpha1.ReasonRestoring || !d.progressing {
		t.Errorf("while it restores: %+v", d)
	}
	s = makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 2, 2, 0)
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
