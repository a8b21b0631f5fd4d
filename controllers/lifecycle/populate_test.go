package lifecycle

import (
	"errors"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// populator is a restore that populates a claim.
func populator() *v1alpha1.ArchiveRestore {
	ar := restoreOf("r", 0)
	ar.Spec.To = v1alpha1.RestoreTarget{Populator: &v1alpha1.Populator{}}
	return ar
}

// naming is a claim that names a restore, as changed.
func naming(name string, seconds int, change func(*corev1.PersistentVolumeClaim)) corev1.PersistentVolumeClaim {
	c := claimWith(corev1.ReadWriteMany)
	c.Name, c.UID = name, types.UID("uid-"+name)
	c.CreationTimestamp = metav1.NewTime(testTime.Add(time.Duration(seconds) * time.Second))
	c.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: ptr.To("transfer.cargoship.dev"), Kind: "ArchiveRestore", Name: "r"}
	if change != nil {
		change(c)
	}
	return *c
}

func TestWhichClaimARestorePopulates(t *testing.T) {
	prime := claimWith(corev1.ReadWriteMany)
	prime.Spec.VolumeName = "v"
	for name, tc := range map[string]struct {
		claims []corev1.PersistentVolumeClaim
		prime  *corev1.PersistentVolumeClaim
		want   string
	}{
		"none":                        {nil, nil, ""},
		"the oldest":                  {[]corev1.PersistentVolumeClaim{naming("b", 1, nil), naming("a", 2, nil), naming("c", 1, nil)}, nil, "b"},
		"one that is deleted":         {[]corev1.PersistentVolumeClaim{naming("a", 0, func(c *corev1.PersistentVolumeClaim) { c.DeletionTimestamp = &metav1.Time{} })}, nil, ""},
		"another restore's":           {[]corev1.PersistentVolumeClaim{naming("a", 0, func(c *corev1.PersistentVolumeClaim) { c.Spec.DataSourceRef.Name = "o" })}, nil, ""},
		"another kind's":              {[]corev1.PersistentVolumeClaim{naming("a", 0, func(c *corev1.PersistentVolumeClaim) { c.Spec.DataSourceRef.Kind = "VolumeSnapshot" })}, nil, ""},
		"another namespace's":         {[]corev1.PersistentVolumeClaim{naming("a", 0, func(c *corev1.PersistentVolumeClaim) { c.Spec.DataSourceRef.Namespace = ptr.To("o") })}, nil, ""},
		"one without a source":        {[]corev1.PersistentVolumeClaim{naming("a", 0, func(c *corev1.PersistentVolumeClaim) { c.Spec.DataSourceRef = nil })}, nil, ""},
		"one that has another volume": {[]corev1.PersistentVolumeClaim{naming("a", 0, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "o" })}, prime, ""},
		"one that has ours":           {[]corev1.PersistentVolumeClaim{naming("a", 0, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "v" })}, prime, "a"},
	} {
		got := ""
		if c := populatedBy(populator(), tc.prime, tc.claims); c != nil {
			got = c.Name
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestWhatAPopulatorWaitsFor(t *testing.T) {
	at := workload.Of(populator())
	user, block := naming("a", 0, nil), naming("a", 0, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) })
	bound := naming("a", 0, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "v" })
	selected := naming("a", 0, func(c *corev1.PersistentVolumeClaim) {
		c.Annotations = map[string]string{annotationSelectedNode: "n"}
	})
	wait := &storagev1.StorageClass{VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer)}
	ours := claimWith(corev1.ReadWriteMany)
	ours.OwnerReferences = []metav1.OwnerReference{objects.OwnerReference(at)}
	for name, tc := range map[string]struct {
		p    *population
		want string
	}{
		"nothing, into a claim":       {nil, ""},
		"the administrator":           {&population{}, v1alpha1.ReasonPopulatorNotAllowed},
		"a claim":                     {&population{allowed: true}, v1alpha1.ReasonWaitingForClaim},
		"one without a volume":        {&population{allowed: true, user: &bound}, v1alpha1.ReasonWaitingForClaim},
		"one of files":                {&population{allowed: true, user: &block}, v1alpha1.ReasonClaimNotWritable},
		"nothing":                     {&population{allowed: true, user: &user}, ""},
		"a consumer":                  {&population{allowed: true, user: &user, class: wait}, v1alpha1.ReasonWaitingForConsumer},
		"nothing, with a consumer":    {&population{allowed: true, user: &selected, class: wait}, ""},
		"a name that somebody has":    {&population{allowed: true, user: &user, taken: true}, v1alpha1.ReasonNameTaken},
		"nothing, with a prime claim": {&population{allowed: true, user: &user, prime: ours, class: wait}, ""},
	} {
		got := ""
		if v := populationReady(at, prerequisites{population: tc.p}); v != nil {
			got = v.reason
		}
		if got != tc.want {
			t.Errorf("waits for %s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestThePrimeClaimIsLikeTheUsers(t *testing.T) {
	user := naming("a", 0, func(c *corev1.PersistentVolumeClaim) {
		c.Spec.StorageClassName = ptr.To("fast")
		c.Annotations = map[string]string{annotationSelectedNode: "n", "other": "x"}
	})
	prime := (&population{user: &user}).primeFor(workload.Of(populator()))
	if prime.Name != "r-prime" || prime.Spec.DataSourceRef != nil || *prime.Spec.StorageClassName != "fast" || len(prime.Annotations) != 1 || !metav1.IsControlledBy(prime, populator()) {
		t.Errorf("the prime claim is %+v", prime)
	}
}

// A volume is handed over at the end of a restore that has succeeded, and only one that is the prime claim's.
func TestTheEndOfAPopulator(t *testing.T) {
	user, prime := naming("a", 0, nil), claimWith(corev1.ReadWriteMany)
	prime.UID = "uid-prime"
	bound := naming("a", 0, func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimBound })
	going := prime.DeepCopy()
	going.DeletionTimestamp = &metav1.Time{Time: testTime}
	for name, tc := range map[string]struct {
		p      *population
		failed int64
		action action
		reason string
	}{
		"a volume to hand over":        {&population{user: &user, prime: prime}, 0, actHandOver, v1alpha1.ReasonBinding},
		"a prime claim to delete":      {&population{user: &bound, prime: prime}, 0, actHandOver, v1alpha1.ReasonBinding},
		"a prime claim that goes":      {&population{user: &bound, prime: going}, 0, actEnd, v1alpha1.ReasonComplete},
		"handed over":                  {&population{user: &bound}, 0, actEnd, v1alpha1.ReasonComplete},
		"the user's claim is gone":     {&population{prime: prime}, 0, actHandOver, v1alpha1.ReasonWaitingForClaim},
		"files failed":                 {&population{user: &user, prime: prime}, 1, actEnd, v1alpha1.ReasonFilesFailed},
		"nothing of it is a populator": {nil, 0, actEnd, v1alpha1.ReasonComplete},
	} {
		s := makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 2, 2, tc.failed)
		s.transfer = restoring(s.transfer)
		s.population = tc.p
		if d := decide(s.input); d.action != tc.action || d.reason != tc.reason {
			t.Errorf("%s: %s, %s; want %s, %s", name, d.action, d.reason, tc.action, tc.reason)
		}
	}
	p := &population{user: &user, prime: prime}
	for uid, want := range map[types.UID]bool{"uid-prime": true, "uid-a": true, "uid-other": false} {
		v := &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{UID: uid}}}
		if mayHandOver(v, p) != want {
			t.Errorf("a volume of %s: may be handed over: %t", uid, !want)
		}
	}
	if mayHandOver(&corev1.PersistentVolume{}, p) {
		t.Error("a volume of nobody may be handed over")
	}
}

func TestPopulatorsAreNotInEachOthersWay(t *testing.T) {
	a, b := populator(), populator()
	b.Name, b.UID = "o", "uid-o"
	if overlap(a, b) {
		t.Error("two populators write into one directory")
	}
	into := restoreOf("x", 0)
	into.Spec.To.PersistentVolumeClaim.ClaimName = "r-prime"
	if !overlap(a, into) {
		t.Error("a restore into a prime claim is in nobody's way")
	}
}

// A claim of the prime claim's name that came before it, or after it was deleted, is somebody else's.
func TestAClaimThatIsNotTheRestoresIsLeftAlone(t *testing.T) {
	ar, user := populator(), naming("a", 0, nil)
	foreign := claimWith(corev1.ReadWriteMany)
	foreign.Name, foreign.Namespace, foreign.UID, user.Namespace = primeName(ar), ar.Namespace, "uid-foreign", ar.Namespace
	foreign.Spec.VolumeName = "v"
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v"}, Spec: corev1.PersistentVolumeSpec{
		ClaimRef: &corev1.ObjectReference{UID: foreign.UID}}}
	for _, phase := range []corev1.PersistentVolumeClaimPhase{corev1.ClaimPending, corev1.ClaimBound} {
		user.ResourceVersion, user.Status.Phase = "", phase
		r := newReconciler(t, ar, foreign, &user, volume)
		r.Populates = true
		in := input{transfer: workload.Of(ar), population: &population{allowed: true, user: &user}}
		var rejected *rejection
		if err := r.ensurePrime(t.Context(), in); !errors.As(err, &rejected) || rejected.reason != v1alpha1.ReasonNameTaken {
			t.Errorf("a user's claim that is %s: made a prime claim: %v", phase, err)
		}
		var err error
		if in.population, err = r.gatherPopulation(t.Context(), in.transfer); err != nil {
			t.Fatal(err)
		}
		_ = r.handOver(t.Context(), in)
		is, err := objects.GetOrNil(t.Context(), r.Client, "", "v", &corev1.PersistentVolume{})
		if err != nil || is.Spec.ClaimRef.UID != foreign.UID {
			t.Errorf("a user's claim that is %s: the volume is that of %+v, %v", phase, is.Spec.ClaimRef, err)
		}
		if left, err := objects.GetOrNil(t.Context(), r.Client, "ns", foreign.Name, &corev1.PersistentVolumeClaim{}); err != nil || left == nil {
			t.Errorf("a user's claim that is %s: the other claim was deleted (%v)", phase, err)
		}
	}
}
