package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// stage is one namespace with a transfer and what it refers to.
type stage struct {
	namespace string
	key       client.ObjectKey
}

// makeStage makes a namespace with a claim and credentials, and a transfer in it.
func makeStage(ctx context.Context, change func(*v1alpha1.ArchiveTransfer)) *stage {
	GinkgoHelper()
	s := makeEmptyStage(ctx)
	s.createClaim(ctx)
	s.createSecret(ctx)
	s.createTransfer(ctx, change)
	return s
}

func makeEmptyStage(ctx context.Context) *stage {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "stage-"}}
	Expect(api.Create(ctx, ns)).To(Succeed())
	return &stage{namespace: ns.Name, key: client.ObjectKey{Namespace: ns.Name, Name: "photos"}}
}

func (s *stage) createClaim(ctx context.Context) {
	GinkgoHelper()
	Expect(api.Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: quantity("1Gi")}},
		},
	})).To(Succeed())
}

func (s *stage) createSecret(ctx context.Context) {
	GinkgoHelper()
	Expect(api.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "s3"},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "top-secret"},
	})).To(Succeed())
}

func (s *stage) createTransfer(ctx context.Context, change func(*v1alpha1.ArchiveTransfer)) {
	GinkgoHelper()
	at := &v1alpha1.ArchiveTransfer{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.key.Name},
		Spec: v1alpha1.ArchiveTransferSpec{
			Source: v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "data"}},
			Destination: v1alpha1.Destination{Location: v1alpha1.Location{
				// A bucket of its own is a domain of its own.
				Bucket: s.namespace, Endpoint: "http://127.0.0.1:9", AddressingStyle: v1alpha1.AddressingPath,
				Credentials: v1alpha1.Credentials{SecretName: "s3"},
			}},
			Fleet: v1alpha1.Fleet{
				Coordination: v1alpha1.Coordination{
					UpdateInterval: metav1.Duration{Duration: 500 * time.Millisecond}, LeaseDuration: metav1.Duration{Duration: 5 * time.Second}},
				Workers: v1alpha1.Workers{Count: 2},
			},
		},
	}
	if change != nil {
		change(at)
	}
	Expect(api.Create(ctx, at)).To(Succeed())
}

func (s *stage) transfer(ctx context.Context) *v1alpha1.ArchiveTransfer {
	GinkgoHelper()
	at := &v1alpha1.ArchiveTransfer{}
	Expect(api.Get(ctx, s.key, at)).To(Succeed())
	return at
}

// condition is a condition of the transfer as "Status/Reason".
func (s *stage) condition(ctx context.Context, kind string) func() string {
	return func() string {
		c := meta.FindStatusCondition(s.transfer(ctx).Status.Conditions, kind)
		if c == nil {
			return ""
		}
		return string(c.Status) + "/" + c.Reason
	}
}

// change edits the transfer as its user does.
func (s *stage) change(ctx context.Context, change func(*v1alpha1.ArchiveTransfer)) {
	GinkgoHelper()
	at := s.transfer(ctx)
	patch := client.MergeFrom(at.DeepCopy())
	change(at)
	Expect(api.Patch(ctx, at, patch)).To(Succeed())
}

func (s *stage) job(ctx context.Context, suffix string) (*batchv1.Job, error) {
	job := &batchv1.Job{}
	return job, api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: s.key.Name + suffix}, job)
}

// awaitJob waits for one of the transfer's Jobs.
func (s *stage) awaitJob(ctx context.Context, suffix string) *batchv1.Job {
	GinkgoHelper()
	var job *batchv1.Job
	Eventually(func() (err error) { job, err = s.job(ctx, suffix); return }).Should(Succeed())
	return job
}

// completeJob plays the Job controller at the end of a Job.
func (s *stage) completeJob(ctx context.Context, suffix string) {
	GinkgoHelper()
	job := s.awaitJob(ctx, suffix)
	now := metav1.Now()
	job.Status.StartTime, job.Status.CompletionTime = &now, &now
	job.Status.Succeeded = ptr.Deref(job.Spec.Completions, 1)
	if ptr.Deref(job.Spec.CompletionMode, "") == batchv1.IndexedCompletion {
		job.Status.CompletedIndexes = fmt.Sprintf("0-%d", *job.Spec.Completions-1)
	}
	for _, kind := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	job.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	Expect(api.Status().Update(ctx, job)).To(Succeed())
}

// puppet is a worker whose strings the test pulls. It speaks the protocol of a
// worker: it reads its lease and writes its report.
type puppet struct {
	stage    *stage
	name     string
	sequence int64
	finished []v1alpha1.FinishedArchive
	ended    []int64 // every archive that it ever ended, in order
	held     map[string]bool
	plan     *v1alpha1.PlanReport
	told     bool // the plan
	blocked  string
	drained  bool
	sends    bool // its reports count a request for each archive
}

// startPuppet plays kubelet and Job controller: a worker pod that runs.
func (s *stage) startPuppet(ctx context.Context, name string) *puppet {
	GinkgoHelper()
	s.startPod(ctx, name, s.awaitJob(ctx, "-workers"))
	p := &puppet{stage: s, name: name, held: map[string]bool{}}
	Eventually(func() error { _, err := p.lease(ctx); return err }).Should(Succeed(), "no lease for a running worker")
	return p
}

// startPlanner starts a worker that plans so many archives.
func (s *stage) startPlanner(ctx context.Context, archives int64) *puppet {
	GinkgoHelper()
	p := s.startPuppet(ctx, "w-a")
	p.report(ctx)
	p.plans(archives, "Complete")
	return p
}

// startHolder starts a worker that plans so many archives and is assigned all of them.
func (s *stage) startHolder(ctx context.Context, archives int64) *puppet {
	GinkgoHelper()
	p := s.startPlanner(ctx, archives)
	p.report(ctx)
	Eventually(func() int { p.take(ctx); p.report(ctx); return len(p.held) }).Should(BeEquivalentTo(archives))
	return p
}

// startPod runs a pod in the stage's namespace as a Job's, which may be another's.
func (s *stage) startPod(ctx context.Context, name string, job *batchv1.Job) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name, Labels: job.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}},
		Spec: corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "worker", Image: "worker:test"}},
			ServiceAccountName: "default", AutomountServiceAccountToken: ptr.To(false)},
	}
	Expect(api.Create(ctx, pod)).To(Succeed())
	pod.Status.Phase = corev1.PodRunning
	Expect(api.Status().Update(ctx, pod)).To(Succeed())
	return pod
}

func (p *puppet) lease(ctx context.Context) (*v1alpha1.PrefixLease, error) {
	lease := &v1alpha1.PrefixLease{}
	return lease, api.Get(ctx, client.ObjectKey{Namespace: p.stage.namespace, Name: p.name}, lease)
}

// take takes up what the lease assigns, and forgets what is acknowledged.
func (p *puppet) take(ctx context.Context) *v1alpha1.PrefixLease {
	GinkgoHelper()
	lease, err := p.lease(ctx)
	Expect(err).NotTo(HaveOccurred())
	if ptr.Deref(lease.Spec.AcknowledgedReport, 0) == p.sequence {
		p.finished = nil
	}
	for _, g := range lease.Spec.Prefixes {
		for _, a := range g.Archives {
			p.held[fmt.Sprintf("%s/%d", g.Name, *a.Number)] = true
		}
	}
	return lease
}

// finish ends up to n archives it holds, of ten files and a thousand bytes each.
func (p *puppet) finish(n int) {
	for id := range p.held {
		if n--; n < 0 {
			return
		}
		delete(p.held, id)
		var number int64
		_, err := fmt.Sscanf(id, "a/%d", &number)
		Expect(err).NotTo(HaveOccurred())
		p.ended = append(p.ended, number)
		p.finished = append(p.finished, v1alpha1.FinishedArchive{
			Result: v1alpha1.ArchiveFinished,
			Prefix: "a", Number: &number, Done: &v1alpha1.Tally{Files: ptr.To(int64(10)), Bytes: ptr.To(int64(1000))}})
	}
}

// report writes the worker's report. Where there is a plan to tell of it reports, as a worker does, until it
// has been given the duty to plan: one that is silent for as long as its lease would be dead to the manager.
func (p *puppet) report(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() error {
		if err := p.write(ctx); err != nil {
			return err
		}
		if p.plan != nil && !p.told && p.sequence > 1 {
			return errors.New("the planning duty is not given yet")
		}
		return nil
	}).Should(Succeed())
}

// write writes one report, with the plan if the worker has the duty to plan.
func (p *puppet) write(ctx context.Context) error {
	lease, err := p.lease(ctx)
	if err != nil {
		return err
	}
	var plan *v1alpha1.PlanReport
	if lease.Spec.Duty == v1alpha1.DutyPlan {
		plan = p.plan
	}
	lease.Status = v1alpha1.PrefixLeaseStatus{
		Instance: p.name, ReportSequence: ptr.To(p.sequence + 1),
		ObservedEpoch: ptr.To(lease.Spec.Epoch), ObservedSequence: ptr.To(lease.Spec.Sequence),
		MaxInFlight: ptr.To(int32(16)), ChecksumAlgorithm: "CRC64NVME",
		Finished: p.finished, Plan: plan,
	}
	if n := int64(len(p.ended)); p.sends && n > 0 {
		lease.Status.Prefixes = []v1alpha1.PrefixReport{{
			Name: "a", Started: ptr.To(n + 1), Accepted: ptr.To(n), Throttled: ptr.To(int64(1)), Bytes: ptr.To(1000 * n)}}
	}
	p.condition(lease, v1alpha1.LeaseConditionBlocked, p.blocked != "", p.blocked)
	p.condition(lease, v1alpha1.LeaseConditionDrained, p.drained, "Drained")
	if err := api.Status().Update(ctx, lease); err != nil {
		return err
	}
	p.sequence++
	p.told = p.told || plan != nil
	return nil
}

func (*puppet) condition(lease *v1alpha1.PrefixLease, kind string, is bool, reason string) {
	c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: "Working"}
	if is {
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, reason, "the puppet says so"
	}
	meta.SetStatusCondition(&lease.Status.Conditions, c)
}

// plans reports an inventory of archives on the prefix "a".
func (p *puppet) plans(archives int64, state string) {
	p.told = false
	p.plan = &v1alpha1.PlanReport{State: state, Prefixes: []v1alpha1.PlannedPrefix{{
		Name: "a", Archives: &archives, Files: ptr.To(archives * 10), Bytes: ptr.To(archives * 1000)}}}
}

// end plays the kubelet when the worker's process has ended.
func (p *puppet) end(ctx context.Context, phase corev1.PodPhase) {
	GinkgoHelper()
	pod := &corev1.Pod{}
	Expect(api.Get(ctx, client.ObjectKey{Namespace: p.stage.namespace, Name: p.name}, pod)).To(Succeed())
	pod.Status.Phase = phase
	Expect(api.Status().Update(ctx, pod)).To(Succeed())
}
