package objects

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// ManagerOptions are the options of every manager that runs controllers: how they read
// objects. What they depend on is in the tests like that.
func ManagerOptions() (ctrl.Options, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return ctrl.Options{}, fmt.Errorf("register API types: %w", err)
		}
	}
	cached, err := cacheOptions()
	return ctrl.Options{
		Scheme: scheme,
		Cache:  cached,
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{
			&corev1.Secret{}, &corev1.ConfigMap{}, &corev1.PersistentVolumeClaim{},
			&corev1.ServiceAccount{}, &rbacv1.RoleBinding{},
		}}},
	}, err
}

// cacheOptions keep in memory what the controllers read and nothing else: everybody who
// may create pods in a namespace can make them large.
func cacheOptions() (cache.Options, error) {
	ours, err := labels.NewRequirement(v1alpha1.LabelTransferUID, selection.Exists, nil)
	if err != nil {
		return cache.Options{}, fmt.Errorf("select our pods and Jobs: %w", err)
	}
	selector := labels.NewSelector().Add(*ours)
	return cache.Options{
		DefaultTransform: trim,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:  {Label: selector, Transform: trim},
			&batchv1.Job{}: {Label: selector, Transform: trim},
		},
	}, nil
}

// lastApplied is the second copy of an object that kubectl apply keeps in it.
const lastApplied = corev1.LastAppliedConfigAnnotation

// trim drops from an object what no controller reads.
func trim(o any) (any, error) {
	m, err := meta.Accessor(o)
	if err != nil {
		return o, nil //nolint:nilerr // a tombstone has no metadata, and passes as it is
	}
	m.SetManagedFields(nil)
	switch o := o.(type) {
	case *corev1.Pod:
		TrimPod(o)
	case *batchv1.Job:
		trimJob(o)
	case *v1alpha1.ArchiveTransfer:
		// The schema can't bound these. Jobs are made from the transfer as it is in the API.
		o.Annotations, o.Spec.Workers.Affinity = only(o.Annotations, AnnotationNotified), nil
	case *v1alpha1.ArchiveRestore:
		o.Annotations, o.Spec.Workers.Affinity = only(o.Annotations, AnnotationNotified), nil
	default:
		if a := m.GetAnnotations(); a[lastApplied] != "" {
			delete(a, lastApplied)
			m.SetAnnotations(a)
		}
	}
	return o, nil
}

// TrimPod keeps of a pod what tells whose it is, where it runs, what its worker may take
// and why it does not start.
func TrimPod(p *corev1.Pod) {
	trimMetadata(&p.ObjectMeta)
	spec := corev1.PodSpec{NodeName: p.Spec.NodeName}
	for _, c := range p.Spec.Containers {
		if c.Name == v1alpha1.WorkerContainer {
			limits := corev1.ResourceList{corev1.ResourceMemory: *c.Resources.Limits.Memory()}
			spec.Containers = []corev1.Container{{Name: c.Name, Resources: corev1.ResourceRequirements{Limits: limits}}}
		}
	}
	p.ManagedFields, p.Spec = nil, spec
	status := corev1.PodStatus{Phase: p.Status.Phase, Conditions: p.Status.Conditions}
	for _, c := range p.Status.ContainerStatuses {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, State: c.State})
	}
	p.Status = status
}

// trimJob keeps of a Job whose it is, its marks, how many of its pods may run and what has
// become of them.
func trimJob(j *batchv1.Job) {
	trimMetadata(&j.ObjectMeta, AnnotationSuspendedByUs, AnnotationStopped, AnnotationBudget)
	j.Spec = batchv1.JobSpec{Suspend: j.Spec.Suspend, Parallelism: j.Spec.Parallelism, Completions: j.Spec.Completions}
	j.Status = batchv1.JobStatus{
		Conditions: j.Status.Conditions, Active: j.Status.Active, Terminating: j.Status.Terminating, Failed: j.Status.Failed}
}

// trimMetadata keeps of labels, owners and annotations what is read; whoever creates a pod
// or a Job may add others, and finalizers, without a bound.
func trimMetadata(m *metav1.ObjectMeta, annotations ...string) {
	m.Labels = only(m.Labels, v1alpha1.LabelTransferUID, v1alpha1.LabelRole, v1alpha1.LabelTransfer, v1alpha1.LabelRestore, LabelQueue)
	m.Annotations = only(m.Annotations, annotations...)
	m.Finalizers = nil
	controller := metav1.GetControllerOf(m)
	m.OwnerReferences = nil
	if controller != nil {
		m.OwnerReferences = []metav1.OwnerReference{*controller}
	}
}

// only are those texts of a map that have one of the names. It is a new map, for one that
// shrinks keeps its room.
func only(all map[string]string, names ...string) map[string]string {
	ours := map[string]string{}
	for _, name := range names {
		if text, there := all[name]; there {
			ours[name] = text
		}
	}
	return ours
}
