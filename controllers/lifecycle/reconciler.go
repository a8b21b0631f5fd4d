package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/metrics"
	"cargoship.dev/operator/internal/tracing"
	"cargoship.dev/operator/internal/workload"
)

// reconcileTimeout bounds one reconcile, API calls included.
const reconcileTimeout = time.Minute

// cacheDelay is how long the cache may lag behind somebody else's write.
const cacheDelay = 200 * time.Millisecond

// Reconciler reconciles one ArchiveTransfer or ArchiveRestore: its preconditions, its
// workers' Job, its end, its conditions and its deletion. Moving data is the coordinator's task.
type Reconciler struct {
	Client client.Client
	// APIReader reads past the cache what the manager does not watch.
	APIReader client.Reader
	Recorder  events.EventRecorder
	Clock     clock.PassiveClock
	Metrics   *metrics.Metrics
	// WorkerImage is the image of worker pods whose transfer names none.
	WorkerImage string
	// WorkerEnv are further environment variables of worker pods, as NAME=VALUE.
	WorkerEnv []string
	// Allowed are the types of sources that the administrator allows besides claims.
	Allowed AllowedSources

	// Populates: the administrator lets the manager hand volumes over to claims.
	Populates bool

	// starting lets one restore at a time begin.
	starting sync.Mutex
	// listing lets one page of users' objects at a time be in memory.
	listing sync.Mutex
}

// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=archivetransfers;archiverestores,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=coordinationpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=archivetransfers/status;archiverestores/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=archivetransfers/finalizers;archiverestores/finalizers,verbs=update
// +kubebuilder:rbac:groups=transfer.cargoship.dev,resources=prefixleases,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts,verbs=get;create;patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims;configmaps;secrets;namespaces,verbs=get
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=rolebindings,verbs=get;create;patch
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,verbs=bind,resourceNames=cargoship-worker
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the reconciler, for each kind of workload.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return errors.Join(
		r.setup(mgr, workload.KindTransfer, "lifecycle", v1alpha1.LabelTransfer),
		r.setup(mgr, workload.KindRestore, "restore-lifecycle", v1alpha1.LabelRestore))
}

func (r *Reconciler) setup(mgr ctrl.Manager, kind, controllerName, nameLabel string) error {
	byNameLabel := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		name := o.GetLabels()[nameLabel]
		if name == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
	})
	return ctrl.NewControllerManagedBy(mgr).
		For(workload.New(kind)).
		Owns(&batchv1.Job{}).
		Owns(&v1alpha1.PrefixLease{}, builder.WithPredicates(leaseChangedState())).
		Watches(&corev1.Pod{}, byNameLabel).
		WithOptions(controller.Options{ReconciliationTimeout: reconcileTimeout, MaxConcurrentReconciles: 4}).
		Named(controllerName).
		Complete(reconcile.Func(func(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
			return r.reconcile(ctx, kind, req)
		}))
}

// leaseChangedState passes the events of a lease that matter here: it was created, deleted,
// got a new worker process, or changed a condition. Counters change far more often.
func leaseChangedState() predicate.Predicate {
	return predicate.TypedFuncs[client.Object]{UpdateFunc: func(e event.TypedUpdateEvent[client.Object]) bool {
		was, ok1 := e.ObjectOld.(*v1alpha1.PrefixLease)
		is, ok2 := e.ObjectNew.(*v1alpha1.PrefixLease)
		return ok1 && ok2 && (was.Status.Instance != is.Status.Instance ||
			!equality.Semantic.DeepEqual(was.Status.Conditions, is.Status.Conditions))
	}}
}

// reconcile is advance with a span.
func (r *Reconciler) reconcile(ctx context.Context, kind string, req ctrl.Request) (ctrl.Result, error) {
	ctx, span := tracing.Begin(ctx, "reconcile")
	defer span.End()
	span.Text("cargoship.kind", kind)
	span.Text("k8s.namespace.name", req.Namespace)
	span.Text("cargoship.name", req.Name)
	result, err := r.advance(ctx, span, kind, req)
	switch {
	case err != nil:
		span.Text("cargoship.outcome", "Failed")
		span.Fail(string(apierrors.ReasonForError(err)))
	case result.RequeueAfter > 0:
		span.Text("cargoship.outcome", "Requeued")
	default:
		span.Text("cargoship.outcome", "Done")
	}
	return result, err
}

// advance brings one workload a step further: gather, decide, act, and write
// the status once.
func (r *Reconciler) advance(ctx context.Context, span tracing.Span, kind string, req ctrl.Request) (ctrl.Result, error) {
	at, err := objects.ReadWorkload(ctx, r.Client, kind, req.NamespacedName)
	if apierrors.IsNotFound(err) {
		r.Metrics.Gone(kind, req.Namespace, req.Name)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	in, err := r.gather(ctx, at)
	if err != nil {
		return ctrl.Result{}, err
	}
	at = in.transfer // which may have been read anew
	switch {
	case at.DeletionTimestamp != nil:
		return r.delete(ctx, in)
	case objects.Ended(at):
		return r.afterEnd(ctx, in)
	case !controllerutil.ContainsFinalizer(at.Object, at.Finalizer()):
		// The finalizer comes before the first external effect that it is to undo.
		err := r.patchFinalizers(ctx, at, controllerutil.AddFinalizer)
		return ctrl.Result{}, err
	}
	if ending, err := r.endWithNamespace(ctx, in); ending || err != nil {
		return ctrl.Result{}, err
	}
	d := decide(in)
	if err := r.act(ctx, in, d); err != nil {
		var v *rejection
		if !errors.As(err, &v) {
			return ctrl.Result{}, err
		}
		d = decision{action: actHold, reason: v.reason, message: v.message, again: backoff(in)}
	}
	span.Text("cargoship.action", string(d.action))
	span.Text("cargoship.reason", d.reason)
	err = r.report(ctx, in, d)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: cacheDelay}, nil
	}
	return ctrl.Result{RequeueAfter: d.again}, err
}

// act carries out a decision.
func (r *Reconciler) act(ctx context.Context, in input, d decision) error {
	switch d.action {
	case actHold:
		return r.holdWorkers(ctx, in.workers)
	case actRunWorkers:
		return r.runWorkers(ctx, in)
	case actRenewWorkers:
		return r.deleteJob(ctx, in.workers, metav1.DeletePropagationBackground)
	case actDrainWorkers:
		return r.markStopped(ctx, in)
	case actStopWorkers:
		return r.stopWorkers(ctx, in.workers)
	case actFinish:
		return r.startFinish(ctx, in, false)
	case actHandOver:
		return r.handOver(ctx, in)
	case actRetryFinish:
		return r.deleteJob(ctx, in.finish, metav1.DeletePropagationBackground)
	default:
		return nil
	}
}

// runWorkers creates, scales or suspends the fleet as the spec says.
func (r *Reconciler) runWorkers(ctx context.Context, in input) error {
	want := ptr.Deref(in.transfer.Spec.Suspend, false)
	switch {
	case in.workers == nil && want:
		return nil
	case in.workers == nil:
		return r.startWorkers(ctx, in)
	case in.workers.DeletionTimestamp != nil:
		return nil // It is created again once its pods have ended.
	}
	byUs := in.workers.Annotations[objects.AnnotationSuspendedByUs] != ""
	switch is := ptr.Deref(in.workers.Spec.Suspend, false); {
	case want && (!is || queued(in.workers)):
		return r.holdWorkers(ctx, in.workers)
	case !want && is && byUs:
		return r.suspendJob(ctx, in.workers, false, false)
	}
	if n := max(1, in.transfer.Spec.Workers.Count); ptr.Deref(in.workers.Spec.Parallelism, 0) != n {
		patch := client.MergeFrom(in.workers.DeepCopy())
		in.workers.Spec.Parallelism, in.workers.Spec.Completions = ptr.To(n), ptr.To(n)
		if err := r.Client.Patch(ctx, in.workers, patch); err != nil {
			return fmt.Errorf("scale Job %s to %d workers: %w", client.ObjectKeyFromObject(in.workers), n, err)
		}
	}
	return nil
}

func (r *Reconciler) startWorkers(ctx context.Context, in input) error {
	at, err := r.whole(ctx, in.transfer)
	if err != nil {
		return err
	}
	if err := errors.Join(r.ensureIdentity(ctx, at), r.ensurePrime(ctx, in)); err != nil {
		return err
	}
	job, err := workersJob(at, in.where, r.WorkerImage, r.Allowed)
	if err != nil {
		return err
	}
	start := func() error { return r.createJob(ctx, at, job) }
	if at.Restore != nil {
		return r.startAlone(ctx, at, start)
	}
	return start()
}

// whole reads a transfer past the cache, which omits the fields that only Jobs need.
func (r *Reconciler) whole(ctx context.Context, cached *workload.Workload) (*workload.Workload, error) {
	at, err := objects.ReadWorkload(ctx, r.APIReader, cached.Kind, client.ObjectKeyFromObject(cached.Object))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", cached, err)
	}
	if at.UID != cached.UID {
		return nil, fmt.Errorf("read %s: it was deleted and created anew", cached)
	}
	if at.Restore != nil {
		at.ReadsFrom(cached.Source)
	}
	return at, nil
}

func (r *Reconciler) ensureIdentity(ctx context.Context, at *workload.Workload) error {
	account, binding := workerIdentity(at)
	if account != nil {
		if err := objects.Apply(ctx, r.Client, objects.OwnerLifecycle, account); err != nil {
			return err
		}
	}
	return objects.Apply(ctx, r.Client, objects.OwnerLifecycle, binding)
}

func (r *Reconciler) startFinish(ctx context.Context, in input, abort bool) error {
	if in.finish != nil {
		return nil
	}
	if err := r.ensureIdentity(ctx, in.transfer); err != nil {
		return err
	}
	at, err := r.whole(ctx, in.transfer)
	if err != nil {
		return err
	}
	job, err := finishJob(at, r.WorkerImage, abort)
	if err != nil {
		return err
	}
	return r.createJob(ctx, at, job)
}

// report writes the status, if it changed, and then sends an event for a new phase.
func (r *Reconciler) report(ctx context.Context, in input, d decision) error {
	at := in.transfer
	status := statusOf(in, d)
	r.Metrics.Lifecycle(at, status)
	if unchanged(at.Status, status) {
		return nil
	}
	before := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionProgressing)
	if before != nil && before.Reason == d.reason && d.action != actEnd {
		return objects.ApplyStatus(ctx, r.Client, objects.OwnerLifecycle, at, status)
	}
	// Events are decided on the API's state: a cache that lags behind would send them twice.
	if err := objects.ApplyStatusTo(ctx, r.Client, objects.OwnerLifecycle, at, at.ResourceVersion, status); err != nil {
		return err
	}
	kind := corev1.EventTypeNormal
	if d.failed || d.reason == v1alpha1.ReasonNothingSelected ||
		!d.progressing && d.action != actEnd && d.reason != v1alpha1.ReasonSuspended {
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(at.Object, nil, kind, d.reason, string(d.action), "%s", objects.Truncate(d.message, objects.MaxMessage))
	return nil
}

func unchanged(was, is v1alpha1.ArchiveTransferStatus) bool {
	return equality.Semantic.DeepEqual(was.ObservedGeneration, is.ObservedGeneration) &&
		equality.Semantic.DeepEqual(was.StartTime, is.StartTime) &&
		equality.Semantic.DeepEqual(was.DrainStartTime, is.DrainStartTime) &&
		equality.Semantic.DeepEqual(was.CompletionTime, is.CompletionTime) && was.Duration == is.Duration &&
		equality.Semantic.DeepEqual(was.Workers, is.Workers) &&
		equality.Semantic.DeepEqual(objects.OwnConditions(was.Conditions, conditionTypes()), is.Conditions)
}
