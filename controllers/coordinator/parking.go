package coordinator

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// What fails is parked: a destination, a transfer, the status of one or a single lease. It is
// tried again ever less often, it says so, and everything else goes on meanwhile.
const (
	firstRetry   = time.Second
	longestRetry = time.Minute
)

// ownerParking writes the condition of a transfer that the coordinator can write no
// whole status of. With the coordinator's own name the rest of the status would go.
const ownerParking = client.FieldOwner("cargoship-coordinator-parking")

// panicked is a panic that was caught.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string {
	return fmt.Sprintf("the manager has a bug, please report it: panic: %v", p.value)
}

// safely turns a panic into an error.
func safely(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicked{r, debug.Stack()}
		}
	}()
	return do()
}

// rejects tells whether the API server rejects this write however often it is retried.
func rejects(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsRequestEntityTooLargeError(err)
}

// failing tells whether the last attempt at something failed.
func (c *Coordinator) failing(key string) bool { return c.retries.Get(key) > 0 }

// parked tells whether something is not to be retried yet.
func (c *Coordinator) parked(key string) bool {
	return c.retries.IsInBackOffSinceUpdate(key, c.Clock.Now())
}

// park delays the next attempt at what has failed, and reports it in the log and in
// events of the transfers that wait for it.
func (c *Coordinator) park(ctx context.Context, key, what string, err error, waiting ...*workload.Workload) {
	c.retries.Next(key, c.Clock.Now())
	retry := c.retries.Get(key)
	logger := log.FromContext(ctx).WithName("coordinator")
	var p *panicked
	if errors.As(err, &p) {
		logger.Error(err, "caught a panic", "of", what, "retryAfter", retry, "stack", string(p.stack))
	} else {
		logger.Error(err, "parked", "what", what, "retryAfter", retry)
	}
	for _, at := range waiting {
		c.Recorder.Eventf(at.Object, nil, corev1.EventTypeWarning, v1alpha1.ReasonCoordinationParked, "Park", "%s",
			objects.Truncate(fmt.Sprintf("%s failed and will be retried: %v", what, err), objects.MaxMessage))
	}
}

// parkTransfers parks what whole transfers wait for, and reports it in their conditions.
func (c *Coordinator) parkTransfers(ctx context.Context, key, what string, err error, waiting ...*workload.Workload) {
	c.park(ctx, key, what, err, waiting...)
	for _, at := range waiting {
		message := fmt.Sprintf("%s failed and will be retried: %v", what, err)
		if err := c.degrade(ctx, at, message); err != nil {
			log.FromContext(ctx).WithName("coordinator").Error(err, "write the condition of a parked transfer")
		}
	}
}

// unpark makes the next failure the first one again.
func (c *Coordinator) unpark(key string) { c.retries.Reset(key) }

// degrade writes the condition Degraded alone.
func (c *Coordinator) degrade(ctx context.Context, at *workload.Workload, message string) error {
	conditions := objects.OwnConditions(at.Status.Conditions, []string{v1alpha1.ConditionDegraded})
	set := objects.ConditionSetter(&conditions, at.Generation, metav1.NewTime(c.Clock.Now().Truncate(time.Second)))
	set(v1alpha1.ConditionDegraded, true, v1alpha1.ReasonCoordinationParked, message)
	return client.IgnoreNotFound(objects.ApplyStatus(ctx, c.Client, ownerParking, at, v1alpha1.ArchiveTransferStatus{Conditions: conditions}))
}

// newRetries is when what failed is tried again, by the coordinator's clock.
func (c *Coordinator) newRetries() *flowcontrol.Backoff {
	b := flowcontrol.NewBackOffWithJitter(firstRetry, longestRetry, 0.1)
	b.Clock = c.Clock
	return b
}
