package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/test/kit/process"
)

const (
	// homeDir is the working directory of a pod's processes, under its own.
	homeDir = "home"
	// firstBackOff and maxBackOff bound the wait before a restart. They are shorter
	// than a kubelet's, for nobody waits five minutes for a test.
	firstBackOff = time.Second
	maxBackOff   = 10 * time.Second
)

// container runs one container, again and again where the restart policy says so.
type container struct {
	pod  *pod
	spec *corev1.Container
	argv []string
	env  []string

	mu     sync.Mutex
	child  *process.Process
	status corev1.ContainerStatus
}

func newContainer(p *pod, spec *corev1.Container) *container {
	started := false
	return &container{pod: p, spec: spec, status: corev1.ContainerStatus{
		Name: spec.Name, Image: spec.Image, ImageID: spec.Image, Started: &started,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reasonCreating}},
	}}
}

// run runs the container until it has ended for good.
func (c *container) run(ctx context.Context) {
	for wait := firstBackOff; ; wait = min(2*wait, maxBackOff) {
		code := c.runOnce(ctx)
		if ctx.Err() != nil || isClosed(c.pod.stopping) || !c.restarts(code) {
			return
		}
		c.backOff(wait)
		select {
		case <-ctx.Done():
			return
		case <-c.pod.stopping:
			c.endBackOff()
			return
		case <-time.After(wait):
		}
	}
}

func (c *container) restarts(code int) bool {
	switch c.pod.object.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	default:
		return true
	}
}

// runOnce starts the process, waits for its end or brings it about, and returns
// its exit code.
func (c *container) runOnce(ctx context.Context) int {
	begin := metav1.Now()
	child, log, err := c.start()
	if err != nil {
		c.setTerminated(&corev1.ContainerStateTerminated{
			ExitCode: 128, Reason: reasonRun, Message: err.Error(), StartedAt: begin, FinishedAt: metav1.Now(),
		})
		return 128
	}
	defer func() { _ = log.Close() }()
	c.setRunning(child, begin)
	select {
	case <-child.Done():
		err = child.Stop(0) // what the process itself may have left in its group
	case <-c.pod.stopping:
		err = c.stopGently(ctx, child)
	case <-ctx.Done():
		err = child.Stop(0)
	}
	if err != nil {
		c.pod.agent.log.Warn("cannot stop a container", "container", c.spec.Name, "error", err)
	}
	code, signal := child.ExitCode()
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	c.setTerminated(&corev1.ContainerStateTerminated{
		ExitCode: int32(code), Signal: int32(signal), Reason: reason, StartedAt: begin, FinishedAt: metav1.Now(),
	})
	return code
}

// stopGently gives the process its grace period, unless the agent stops meanwhile.
func (c *container) stopGently(ctx context.Context, child *process.Process) error {
	grace := c.pod.graceLeft()
	stopped := make(chan error, 1)
	go func() { stopped <- child.Stop(grace) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
		return errors.Join(child.Stop(0), <-stopped)
	}
}

// start starts the process with its output in the container's log.
func (c *container) start() (*process.Process, *os.File, error) {
	home := filepath.Join(c.pod.agent.podDir(c.pod.object), homeDir)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, nil, fmt.Errorf("create the working directory: %w", err)
	}
	path := c.pod.agent.LogPath(c.pod.object, c.spec.Name)
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = home, c.env, log, log
	child, err := process.Start(cmd)
	if err != nil {
		_ = log.Close()
		return nil, nil, err
	}
	return child, log, nil
}

func (c *container) pid() (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.child == nil {
		return 0, false
	}
	return c.child.PID(), true
}

func (c *container) setWaiting(reason, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func (c *container) setRunning(child *process.Process, begin metav1.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	started := true
	c.child = child
	c.status.Ready, c.status.Started = true, &started
	c.status.ContainerID = fmt.Sprintf("process://%d", child.PID())
	c.status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: begin}}
	c.pod.markChanged()
}

func (c *container) setTerminated(end *corev1.ContainerStateTerminated) {
	c.mu.Lock()
	defer c.mu.Unlock()
	started := false
	c.child = nil
	end.ContainerID = c.status.ContainerID
	c.status.Ready, c.status.Started = false, &started
	c.status.State = corev1.ContainerState{Terminated: end}
	c.pod.markChanged()
}

// backOff reports the wait before a restart.
func (c *container) backOff(wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.RestartCount++
	c.status.LastTerminationState = c.status.State
	c.status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: reasonBackOff, Message: fmt.Sprintf("back-off %s restarting failed container", wait),
	}}
	c.pod.markChanged()
}

// endBackOff reports, for a pod that is stopped between two runs, how the last ended.
func (c *container) endBackOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.State = c.status.LastTerminationState
	c.pod.markChanged()
}

// report returns the status as it is now.
func (c *container) report() corev1.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.status.DeepCopy()
}
