package notify

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/metrics"
	"cargoship.dev/operator/internal/notify"
	"cargoship.dev/operator/internal/workload"
)

const (
	// tooLate is how long after the end a receiver is told. What had ended before notifications were turned
	// on is no news.
	tooLate = 24 * time.Hour
	// firstPause and longestPause bound the pauses between attempts, which double.
	firstPause   = time.Second
	longestPause = 5 * time.Minute
	// together is how many receivers are waited for at once.
	together = 4
)

// Sender sends an event once.
type Sender interface {
	Send(ctx context.Context, e event.Event) error
}

// Reconciler tells a receiver of transfers and restores that have ended: at least once each, within a
// day.
type Reconciler struct {
	Client client.Client
	// APIReader reads past the cache whether a receiver was told a moment ago.
	APIReader client.Reader
	Clock     clock.PassiveClock
	Sender    Sender
	Metrics   *metrics.Metrics
}

// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=archivetransfers;archiverestores,verbs=get;list;watch;patch

// SetupWithManager has transfers and restores looked at that have ended and were not told of.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	for _, kind := range []string{workload.KindTransfer, workload.KindRestore} {
		// A reconcile.Func for each kind, since their names may be the same.
		err := ctrl.NewControllerManagedBy(mgr).
			Named("notify-"+kind).
			For(workload.New(kind), builder.WithPredicates(predicate.NewPredicateFuncs(r.untold))).
			WithOptions(controller.Options{MaxConcurrentReconciles: together,
				RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstPause, longestPause)}).
			Complete(reconcile.Func(func(ctx context.Context, q reconcile.Request) (reconcile.Result, error) {
				return reconcile.Result{}, r.tell(ctx, kind, q.NamespacedName)
			}))
		if err != nil {
			return err
		}
	}
	return nil
}

// tell tells of a workload, unless there is nothing to tell.
func (r *Reconciler) tell(ctx context.Context, kind string, key client.ObjectKey) error {
	w, err := objects.ReadWorkload(ctx, r.APIReader, kind, key)
	if err != nil || !r.due(w) {
		return client.IgnoreNotFound(err)
	}
	e, err := notify.Event(w)
	if err != nil {
		return err
	}
	err = r.Sender.Send(ctx, e)
	r.Metrics.Notified(err == nil)
	if err != nil {
		return err
	}
	was := w.Object.DeepCopyObject().(client.Object) //nolint:forcetypeassert // It is a workload's.
	annotations := map[string]string{}
	maps.Copy(annotations, w.Annotations)
	annotations[objects.AnnotationNotified] = notify.ID(w)
	w.Object.SetAnnotations(annotations)
	err = r.Client.Patch(ctx, w.Object.(client.Object), client.MergeFrom(was)) //nolint:forcetypeassert // As above.
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("record that a receiver knows of the end of %v: %w", w, err)
	}
	return nil
}

// due tells whether a workload has ended lately and nobody was told.
func (r *Reconciler) due(w *workload.Workload) bool {
	at := w.Status.CompletionTime
	return objects.Ended(w) && at != nil && w.Annotations[objects.AnnotationNotified] != notify.ID(w) && r.Clock.Since(at.Time) < tooLate
}

// untold tells whether an object is a workload that is due, as far as the cache knows.
func (r *Reconciler) untold(o client.Object) bool {
	w := workload.Of(o)
	return w != nil && r.due(w)
}
