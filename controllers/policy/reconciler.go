package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/metrics"
)

const (
	// lookAgain is when the destinations in use are looked at again.
	lookAgain = time.Minute
	// soonest is the least time until a switch is waited for: timers are early by a little.
	soonest = 10 * time.Millisecond
	// longestReconcile bounds one look at all policies.
	longestReconcile = time.Minute
)

// Reconciler writes the status of CoordinationPolicies, of all at once: whether one contradicts
// another depends on both.
type Reconciler struct {
	Client   client.Client
	Clock    clock.PassiveClock
	Recorder events.EventRecorder
	Metrics  *metrics.Metrics

	known map[string]bool // policies whose metrics are shown
}

// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=coordinationpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=coordinationpolicies/status,verbs=get;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager has a change of any policy's spec looked at.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	all := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{}}
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("policy").
		Watches(&v1alpha1.CoordinationPolicy{}, all, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, longestReconcile)
	defer cancel()
	var list v1alpha1.CoordinationPolicyList
	if err := r.Client.List(ctx, &list); err != nil {
		return ctrl.Result{}, fmt.Errorf("list CoordinationPolicies: %w", err)
	}
	destinations, err := r.destinations(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := r.Clock.Now()
	next := lookAgain
	var errs []error
	shown := map[string]bool{}
	for _, v := range judge(now, list.Items, destinations) {
		shown[v.policy.Name] = true
		r.Metrics.PolicyLimits(v.policy.Name, v.limits())
		errs = append(errs, r.write(ctx, now, v))
		if until := v.inForce.Until; !until.IsZero() {
			next = min(next, max(soonest, until.Sub(now)))
		}
	}
	for name := range r.known {
		if !shown[name] {
			r.Metrics.ForgetPolicy(name)
		}
	}
	r.known = shown
	return ctrl.Result{RequeueAfter: next}, errors.Join(errs...)
}

// destinations are the names of those to which something runs.
func (r *Reconciler) destinations(ctx context.Context) ([]string, error) {
	workloads, err := objects.ListWorkloads(ctx, r.Client)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, w := range workloads {
		if w.Status.StartTime != nil && w.DeletionTimestamp == nil && !objects.Ended(w) {
			all = append(all, convert.Domain(w.Location))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// write writes the status of a policy if it differs, and tells of a switch.
func (r *Reconciler) write(ctx context.Context, now time.Time, v verdict) error {
	status := v.status(now)
	if equality.Semantic.DeepEqual(status, v.policy.Status) {
		return nil
	}
	p := &v1alpha1.CoordinationPolicy{ObjectMeta: metav1.ObjectMeta{Name: v.policy.Name}, Status: status}
	u, err := objects.ApplyConfiguration(r.Client, p)
	if err != nil {
		return err
	}
	err = r.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), objects.OwnerPolicy, client.ForceOwnership)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the status of CoordinationPolicy %s: %w", v.policy.Name, err)
	}
	if err == nil && v.switched() {
		r.Recorder.Eventf(v.policy, nil, corev1.EventTypeNormal, v1alpha1.ReasonLimitsChanged, "Switch", "%s",
			objects.Truncate("in force now: "+describe(status.InForce), objects.MaxMessage))
	}
	return nil
}
