package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

func transferFrom(source v1alpha1.Source, credentials v1alpha1.Credentials) *workload.Workload {
	return workload.Of(&v1alpha1.ArchiveTransfer{
		ObjectMeta: metav1.ObjectMeta{Name: "t", Namespace: "ns", UID: "uid"},
		Spec:       v1alpha1.ArchiveTransferSpec{Source: source, Destination: v1alpha1.Destination{Location: v1alpha1.Location{Bucket: "b", Credentials: credentials}}},
	})
}

// jobsOf are all Jobs that the manager makes for a transfer.
func jobsOf(t *testing.T, at *workload.Workload, allowed AllowedSources) map[string]*batchv1.Job {
	t.Helper()
	jobs := map[string]*batchv1.Job{}
	var err error
	if jobs["workers"], err = workersJob(at, placement{}, "image", allowed); err != nil {
		t.Fatal(err)
	}
	for name, abort := range map[string]bool{"finish": false, "abort": true} {
		if jobs[name], err = finishJob(at, "image", abort); err != nil {
			t.Fatal(err)
		}
	}
	return jobs
}

func TestOnlyAllowedSourcesBecomeVolumes(t *testing.T) {
	claim := v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "c"}}
	hostPath := v1alpha1.Source{HostPath: &v1alpha1.HostPathSource{Path: "/etc"}}
	nfs := v1alpha1.Source{NFS: &v1alpha1.NFSSource{Server: "s", Path: "/"}}
	tests := map[string]struct {
		source     v1alpha1.Source
		allowed    AllowedSources
		wantReason string
	}{
		"a claim":                     {claim, AllowedSources{}, ""},
		"a hostPath":                  {hostPath, AllowedSources{}, v1alpha1.ReasonHostPathNotAllowed},
		"a hostPath where NFS may be": {hostPath, AllowedSources{NFS: true}, v1alpha1.ReasonHostPathNotAllowed},
		"a hostPath that is allowed":  {hostPath, AllowedSources{HostPath: true}, ""},
		"NFS":                         {nfs, AllowedSources{}, v1alpha1.ReasonNFSNotAllowed},
		"NFS where a hostPath may be": {nfs, AllowedSources{HostPath: true}, v1alpha1.ReasonNFSNotAllowed},
		"NFS that is allowed":         {nfs, AllowedSources{NFS: true}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			at := transferFrom(tc.source, v1alpha1.Credentials{SecretName: "s"})
			_, err := workersJob(at, placement{}, "image", tc.allowed)
			var rejected *rejection
			switch {
			case tc.wantReason == "" && err != nil:
				t.Errorf("workersJob() = %v, want a Job", err)
			case tc.wantReason != "" && (!errors.As(err, &rejected) || rejected.reason != tc.wantReason):
				t.Errorf("workersJob() = %v, want a rejection with reason %s", err, tc.wantReason)
			}
		})
	}
}

// The finish pod, which asks nobody, is told what it reports of the workers, and no more of the status.
func TestTheFinishPodKnowsWhenTheTransferBegan(t *testing.T) {
	at := transferFrom(v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "c"}}, v1alpha1.Credentials{SecretName: "s"})
	began := metav1.NewTime(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC))
	at.Status.StartTime = &began
	at.Status.Workers = &v1alpha1.WorkersStatus{Desired: ptr.To(int32(3)), Leased: ptr.To(int32(2)), Failed: ptr.To(int32(1))}
	at.Status.Failures = []v1alpha1.ArchiveFailure{{Prefix: "a"}}
	var got v1alpha1.ArchiveTransfer
	for _, env := range jobsOf(t, at, AllowedSources{})["finish"].Spec.Template.Spec.Containers[0].Env {
		if env.Name == v1alpha1.WorkerConfigEnv {
			if err := json.Unmarshal([]byte(env.Value), &got); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := v1alpha1.ArchiveTransferStatus{StartTime: &began, Workers: &v1alpha1.WorkersStatus{Desired: ptr.To(int32(3)), Failed: ptr.To(int32(1))}}
	if !equality.Semantic.DeepEqual(got.Status, want) {
		t.Errorf("%+v", got.Status)
	}
}

func TestOnlyWorkersMountTheSource(t *testing.T) {
	at := transferFrom(v1alpha1.Source{HostPath: &v1alpha1.HostPathSource{Path: "/data"}},
		v1alpha1.Credentials{SecretName: "s"})
	for name, job := range jobsOf(t, at, AllowedSources{HostPath: true}) {
		mounted := false
		for _, v := range job.Spec.Template.Spec.Volumes {
			mounted = mounted || v.HostPath != nil
		}
		if want := name == "workers"; mounted != want {
			t.Errorf("Job %s mounts the source: %t, want %t", name, mounted, want)
		}
		for _, m := range job.Spec.Template.Spec.Containers[0].VolumeMounts {
			if !m.ReadOnly {
				t.Errorf("Job %s mounts %s writable", name, m.Name)
			}
		}
	}
}

func TestNodesRoleIsDeniedUnlessAsked(t *testing.T) {
	identity := func(access v1alpha1.InstanceMetadataAccess) v1alpha1.Credentials {
		return v1alpha1.Credentials{PodIdentity: &v1alpha1.PodIdentity{ServiceAccountName: "a", InstanceMetadata: access}}
	}
	tests := map[string]struct {
		credentials  v1alpha1.Credentials
		wantDisabled string
	}{
		"a Secret":                   {v1alpha1.Credentials{SecretName: "s"}, "true"},
		"an identity":                {identity(""), "true"},
		"an identity, denied":        {identity(v1alpha1.InstanceMetadataDenied), "true"},
		"an identity, or the node's": {identity(v1alpha1.InstanceMetadataAllowed), "false"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			at := transferFrom(v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "c"}}, tc.credentials)
			for job, j := range jobsOf(t, at, AllowedSources{}) {
				if got := envOf(j.Spec.Template.Spec.Containers[0], "AWS_EC2_METADATA_DISABLED"); got != tc.wantDisabled {
					t.Errorf("Job %s has AWS_EC2_METADATA_DISABLED=%q, want %q", job, got, tc.wantDisabled)
				}
			}
		})
	}
}

func envOf(c corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

func TestFinishingPodIsToldWhatToExpect(t *testing.T) {
	tests := map[string]struct {
		planning    string
		finished    int64
		wantPartial bool
	}{
		"all archives have ended":         {planningComplete, 2, false},
		"stopped while archives are left": {planningComplete, 1, true},
		"stopped while planning":          {"Running", 2, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := makeScenario().progress(tc.planning, 2, tc.finished, 3)
			s.transfer.Transfer.Spec.Source.PersistentVolumeClaim = &v1alpha1.ClaimSource{ClaimName: "c"}
			jobs := jobsOf(t, s.transfer, AllowedSources{})
			args := jobs["finish"].Spec.Template.Spec.Containers[0].Args
			done := 10*tc.finished - 3
			for _, want := range []string{"--expect-planned=20/2000", fmt.Sprintf("--expect-done=%d/%d", done, 100*done),
				"--expect-failed=3/300", "--expect-skipped=0/0"} {
				if !slices.Contains(args, want) {
					t.Errorf("the arguments %v lack %s", args, want)
				}
			}
			if got := slices.Contains(args, "--partial"); got != tc.wantPartial {
				t.Errorf("--partial is there: %t, want %t", got, tc.wantPartial)
			}
			if args := jobs["abort"].Spec.Template.Spec.Containers[0].Args; slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--expect") }) {
				t.Errorf("the aborting pod is told what to expect: %v", args)
			}
		})
	}
}

func TestCountsThatDifferFailTheFinishingJobAtOnce(t *testing.T) {
	at := transferFrom(v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "c"}},
		v1alpha1.Credentials{SecretName: "s"})
	job := jobsOf(t, at, AllowedSources{})["finish"]
	if job.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Error("the pod restarts, so that no policy sees it fail")
	}
	for _, r := range job.Spec.PodFailurePolicy.Rules {
		if r.Action == batchv1.PodFailurePolicyActionFailJob && r.OnExitCodes != nil && slices.Equal(r.OnExitCodes.Values, []int32{3}) {
			return
		}
	}
	t.Errorf("no rule fails the Job on exit code 3: %+v", job.Spec.PodFailurePolicy.Rules)
}

func TestNoTwoJobsHaveTheSameName(t *testing.T) {
	names := []string{"x"}
	for _, suffix := range []string{"-workers", "-finish", "-abort", "-restore", "-restore-finish", "-restore-verify"} {
		names = append(names, "x"+suffix)
	}
	jobs := map[string]string{}
	add := func(job, what string) {
		if other, taken := jobs[job]; taken {
			t.Errorf("Job %s is of %s and of %s", job, other, what)
		}
		jobs[job] = what
	}
	for _, name := range names {
		transfer := workload.Of(&v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{Name: name}})
		restore := workload.Of(&v1alpha1.ArchiveRestore{ObjectMeta: metav1.ObjectMeta{Name: name}})
		for _, job := range []string{objects.WorkersJobName(transfer), finishJobName(transfer), abortJobName(transfer)} {
			add(job, transfer.String())
		}
		for _, job := range []string{objects.WorkersJobName(restore), finishJobName(restore)} {
			add(job, restore.String())
		}
	}
	longest := workload.Of(&v1alpha1.ArchiveRestore{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("x", 48)}}) // as the schema has it
	if name := finishJobName(longest); len(name) > validation.LabelValueMaxLength {
		t.Errorf("the pods of Job %s can't have its name as a label", name)
	}
}

// A restore that an earlier version was finishing goes on with the Job that it has.
func TestAFinishJobOfAnEarlierVersionIsKept(t *testing.T) {
	ar := restoreOf("x", 0)
	at := workload.Of(ar)
	former := jobWith("x-restore-finish", []batchv1.JobConditionType{batchv1.JobComplete})
	former.Namespace, former.OwnerReferences = "ns", []metav1.OwnerReference{objects.OwnerReference(at)}
	in, err := newReconciler(t, ar, former).gather(t.Context(), at)
	if err != nil || in.finish == nil || in.finish.Name != former.Name {
		t.Errorf("the finish Job is %v, %v", in.finish, err)
	}
}
