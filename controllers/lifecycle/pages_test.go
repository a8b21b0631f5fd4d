package lifecycle

import (
	"context"
	"errors"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// paged answers with one object a page, and refuses to list all at once.
type paged struct{ client.Reader }

func (p paged) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	if o.Limit == 0 || o.Limit > pageSize {
		return errors.New("a list without a bound")
	}
	n, _ := strconv.Atoi(o.Continue)
	if err := p.Reader.List(ctx, list, client.InNamespace(o.Namespace)); err != nil {
		return err
	}
	all, err := meta.ExtractList(list)
	if err != nil || n >= len(all) {
		return err
	}
	if n+1 < len(all) {
		list.SetContinue(strconv.Itoa(n + 1))
	}
	return meta.SetList(list, []runtime.Object{all[n]})
}

// userPod is a pod on a node, or on none, that uses the target.
func userPod(name, node string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}, Spec: corev1.PodSpec{NodeName: node}}
	pod.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "target"}}}}
	return pod
}

// What is read past the cache is as much as the users of a namespace like.
func TestListsPastTheCacheAreReadInPages(t *testing.T) {
	ar := populator()
	oldest, later := naming("b", 0, nil), naming("a", 1, nil)
	other := naming("0", -1, func(c *corev1.PersistentVolumeClaim) { c.Spec.DataSourceRef = nil })
	for _, c := range []*corev1.PersistentVolumeClaim{&oldest, &later, &other} {
		c.Namespace = "ns"
	}
	waiting, begun := restoreOf("x", 0), restoreOf("y", 1)
	waiting.UID, begun.UID = "uid-x", "uid-y"
	begun.Status.StartTime = &metav1.Time{Time: testTime}
	r := newReconciler(t, ar, &oldest, &later, &other, waiting, begun, userPod("0", ""), userPod("1", "node-1"), userPod("2", "node-2"))
	r.Populates, r.APIReader = true, paged{r.APIReader}

	p := prerequisites{claim: claimWith(corev1.ReadWriteOnce)}
	if err := r.gatherUser(t.Context(), workload.Of(waiting), &p); err != nil || p.user == nil || p.user.Name != "1" {
		t.Errorf("the user of the target is %v, %v; want pod 1", p.user, err)
	}
	population, err := r.gatherPopulation(t.Context(), workload.Of(ar))
	if err != nil || population.user == nil || population.user.Name != "b" {
		t.Errorf("the claim to populate is %v, %v; want b", population, err)
	}
	var rejected *rejection
	err = r.startAlone(t.Context(), workload.Of(waiting), func() error { return nil })
	if !errors.As(err, &rejected) || rejected.reason != v1alpha1.ReasonTargetBusy {
		t.Errorf("a restore beside another that has begun: %v", err)
	}
}
