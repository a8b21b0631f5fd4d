package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pod runs one pod from its binding to the removal of its object.
type pod struct {
	agent      *Agent
	object     *corev1.Pod // as first seen on this node
	volumes    *volumes
	containers []*container

	stopping chan struct{} // closed once the API asks for the pod's end
	gone     chan struct{} // closed once the API has no such pod any more
	changed  chan struct{} // holds one element while the status is to be written

	mu        sync.Mutex
	grace     time.Duration // to be read after stopping is closed
	started   *metav1.Time
	announced map[string]bool // events already made

	writing sync.Mutex // held while a status is put together and written
	last    map[corev1.PodConditionType]corev1.PodCondition
}

func newPod(a *Agent, object *corev1.Pod) *pod {
	p := &pod{
		agent:     a,
		object:    object,
		stopping:  make(chan struct{}),
		gone:      make(chan struct{}),
		changed:   make(chan struct{}, 1),
		announced: map[string]bool{},
		last:      map[corev1.PodConditionType]corev1.PodCondition{},
	}
	p.volumes = newVolumes(a, object)
	for i := range object.Spec.Containers {
		p.containers = append(p.containers, newContainer(p, &object.Spec.Containers[i]))
	}
	return p
}

// requestStop begins the pod's end; the first request sets the grace period.
func (p *pod) requestStop(graceSeconds *int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if isClosed(p.stopping) {
		return
	}
	if graceSeconds != nil {
		p.grace = time.Duration(*graceSeconds) * time.Second
	}
	close(p.stopping)
}

// abandon kills the pod at once. The agent calls it once, under its lock.
func (p *pod) abandon() { close(p.gone) }

func (p *pod) graceLeft() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.grace
}

func (p *pod) pid(name string) (int, bool) {
	for _, c := range p.containers {
		if c.spec.Name == name {
			return c.pid()
		}
	}
	return 0, false
}

// run is the life of the pod. It returns after every process and every helper of
// the pod has ended.
func (p *pod) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	helpers.Go(func() { // the end of the object ends everything
		select {
		case <-p.gone:
			cancel()
		case <-ctx.Done():
		}
	})
	defer p.agent.clean(p.object)
	if p.isTerminal() { // seen again after its end: nothing runs
		p.awaitDeletion(ctx)
		return
	}
	helpers.Go(func() { p.reportStatus(ctx) })
	p.markChanged()
	if p.prepare(ctx) {
		helpers.Go(func() { p.keepVolumes(ctx) })
		p.runContainers(ctx)
	}
	p.flushStatus(ctx)
	p.awaitDeletion(ctx)
}

func (p *pod) isTerminal() bool {
	phase := p.object.Status.Phase
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}

// prepare materializes volumes and settles what each container shall run, and
// repeats that until it works. It is false when the pod ends before.
func (p *pod) prepare(ctx context.Context) bool {
	for {
		err := p.tryPrepare(ctx)
		if err == nil {
			p.mu.Lock()
			now := metav1.Now()
			p.started = &now
			p.mu.Unlock()
			return true
		}
		p.explain(ctx, err)
		select {
		case <-ctx.Done():
			return false
		case <-p.stopping:
			return false
		case <-time.After(retryInterval):
		}
	}
}

func (p *pod) tryPrepare(ctx context.Context) error {
	if len(p.object.Spec.InitContainers) > 0 {
		return &waitError{reason: reasonConfig, err: errors.New("init containers are not supported by this node")}
	}
	if err := os.MkdirAll(p.agent.podDir(p.object), 0o700); err != nil {
		return &waitError{reason: reasonCreating, err: err}
	}
	if err := p.volumes.sync(ctx); err != nil {
		return err
	}
	for _, c := range p.containers {
		if err := c.resolve(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keepVolumes carries changed Secrets, ConfigMaps and tokens to the processes.
func (p *pod) keepVolumes(ctx context.Context) {
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// A source that is gone leaves the last content in place, as on any node.
		if err := p.volumes.sync(ctx); err != nil && ctx.Err() == nil {
			p.event(ctx, eventMount, err.Error())
		}
	}
}

func (p *pod) runContainers(ctx context.Context) {
	var running sync.WaitGroup
	for _, c := range p.containers {
		running.Go(func() { c.run(ctx) })
	}
	running.Wait()
}

// awaitDeletion waits until the object is to be deleted and removes it. A pod that
// has ended keeps its object until then.
func (p *pod) awaitDeletion(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-p.stopping:
	}
	now := int64(0)
	options := metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &p.object.UID}}
	for {
		err := p.agent.client.CoreV1().Pods(p.object.Namespace).Delete(ctx, p.object.Name, options)
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryInterval):
		}
	}
}

// explain tells in status and events why the pod does not start.
func (p *pod) explain(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	wait := &waitError{reason: reasonCreating, err: err}
	errors.As(err, &wait)
	for _, c := range p.containers {
		c.setWaiting(wait.reason, wait.err.Error())
	}
	p.markChanged()
	reason := eventFailed
	if wait.reason == reasonCreating {
		reason = eventMount
	}
	p.event(ctx, reason, wait.err.Error())
}

// event makes a warning about the pod, once for each text.
func (p *pod) event(ctx context.Context, reason, message string) {
	p.mu.Lock()
	known := p.announced[reason+message]
	p.announced[reason+message] = true
	p.mu.Unlock()
	if known {
		return
	}
	now := metav1.Now()
	_, err := p.agent.client.CoreV1().Events(p.object.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: p.object.Name + ".", Namespace: p.object.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "Pod", Namespace: p.object.Namespace, Name: p.object.Name, UID: p.object.UID,
		},
		Reason: reason, Message: message, Type: corev1.EventTypeWarning,
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		Source: corev1.EventSource{Component: "nodeagent", Host: p.agent.opts.Name},
	}, metav1.CreateOptions{})
	if err != nil && ctx.Err() == nil {
		p.agent.log.Warn("cannot make an event", "pod", p.object.Name, "error", err)
	}
}

// Reasons of a waiting container and of events, as a kubelet gives them.
const (
	reasonCreating = "ContainerCreating"
	reasonConfig   = "CreateContainerConfigError"
	reasonNoImage  = "ErrImageNeverPull"
	reasonBackOff  = "CrashLoopBackOff"
	reasonRun      = "RunContainerError"
	eventMount     = "FailedMount"
	eventFailed    = "Failed"
)

// waitError is why a container cannot start yet.
type waitError struct {
	reason string
	err    error
}

func (e *waitError) Error() string { return fmt.Sprintf("%s: %v", e.reason, e.err) }

func (e *waitError) Unwrap() error { return e.err }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
