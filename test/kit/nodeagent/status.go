package nodeagent

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// markChanged has the status written soon.
func (p *pod) markChanged() {
	select {
	case p.changed <- struct{}{}:
	default: // a write is due already
	}
}

// reportStatus writes the status after each change, until ctx ends.
func (p *pod) reportStatus(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
			p.flushStatus(ctx)
		}
	}
}

// flushStatus writes the status as it is now and repeats that until the API server
// has it or has no such pod.
func (p *pod) flushStatus(ctx context.Context) {
	for ctx.Err() == nil {
		err := p.writeStatus(ctx)
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		p.agent.log.Warn("cannot report a pod's status", "pod", p.object.Name, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
}

// writeStatus patches the status. The UID in the patch keeps it from a later pod of
// the same name.
func (p *pod) writeStatus(ctx context.Context) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": p.object.UID},
		"status":   p.status(),
	})
	if err != nil {
		return err
	}
	_, err = p.agent.client.CoreV1().Pods(p.object.Namespace).Patch(ctx, p.object.Name,
		types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// status puts the pod's status together from those of its containers.
func (p *pod) status() corev1.PodStatus {
	status := corev1.PodStatus{
		HostIP: nodeAddress, HostIPs: []corev1.HostIP{{IP: nodeAddress}},
		PodIP: nodeAddress, PodIPs: []corev1.PodIP{{IP: nodeAddress}},
	}
	p.mu.Lock()
	status.StartTime = p.started
	p.mu.Unlock()
	for _, c := range p.containers {
		status.ContainerStatuses = append(status.ContainerStatuses, c.report())
	}
	status.Phase = phase(status.ContainerStatuses, status.StartTime != nil)
	status.Conditions = p.conditions(status.Phase, status.ContainerStatuses)
	return status
}

// phase follows from the containers: a pod has ended when all of them have.
func phase(containers []corev1.ContainerStatus, started bool) corev1.PodPhase {
	if !started {
		return corev1.PodPending
	}
	ended, failed := 0, 0
	for _, c := range containers {
		if c.State.Terminated == nil {
			continue
		}
		ended++
		if c.State.Terminated.ExitCode != 0 {
			failed++
		}
	}
	switch {
	case ended < len(containers):
		return corev1.PodRunning
	case failed > 0:
		return corev1.PodFailed
	default:
		return corev1.PodSucceeded
	}
}

// conditions reports the pod ready while every container runs. The times of
// transitions are those of the last change of each condition.
func (p *pod) conditions(phase corev1.PodPhase, containers []corev1.ContainerStatus) []corev1.PodCondition {
	ready := phase == corev1.PodRunning
	for _, c := range containers {
		ready = ready && c.Ready
	}
	reason := ""
	switch {
	case phase == corev1.PodSucceeded:
		reason = "PodCompleted"
	case !ready:
		reason = "ContainersNotReady"
	}
	return []corev1.PodCondition{
		p.condition(corev1.PodScheduled, true, ""),
		p.condition(corev1.PodInitialized, true, ""),
		p.condition(corev1.ContainersReady, ready, reason),
		p.condition(corev1.PodReady, ready, reason),
	}
}

// condition keeps the transition time of a condition that has not changed. Only
// writeStatus comes here, one call at a time.
func (p *pod) condition(kind corev1.PodConditionType, holds bool, reason string) corev1.PodCondition {
	value := corev1.ConditionFalse
	if holds {
		value = corev1.ConditionTrue
	}
	last, known := p.last[kind]
	if !known || last.Status != value {
		last = corev1.PodCondition{Type: kind, Status: value, LastTransitionTime: metav1.Now()}
	}
	last.Reason = reason
	p.last[kind] = last
	return last
}
