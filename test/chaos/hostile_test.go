//go:build e2e

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/cluster/release"
	"cargoship.dev/operator/test/kit/product"
)

const (
	// pauseImage runs no worker: what its pods report is up to the puppets.
	pauseImage = "cargoship/pause:local"
	// liars are the worker pods of the hostile tenant for each bucket.
	liars = 2
	// floodSize is how many transfers a flood makes at once.
	floodSize = 40
	// shareWindow is how long goodput is measured with the hostile tenant and without it.
	shareWindow = 40 * time.Second
	// warmUp is how long transfers run before anything is measured.
	warmUp = 30 * time.Second
	// fairShare is what the others have a right to beside one more tenant of their weight, of
	// what they have alone, and leastShare is the part of that which must be left to them.
	fairShare, leastShare = 0.5, 0.9
)

// hostile is a tenant that shares the buckets of the streams: its workers lie, it floods
// the manager with transfers, and makes malformed objects of every kind.
type hostile struct {
	run       *run
	namespace string
	buckets   []string
	random    *rand.Rand

	mu       sync.Mutex
	told     map[string]int // lies by kind
	rejected int            // reports that the API server did not take
	made     map[string]int // malformed objects by kind
	serial   int
}

// furnishHostile makes the tenant's namespace.
func (r *run) furnishHostile(ctx context.Context, streams []*stream) *hostile {
	r.t.Helper()
	h := &hostile{run: r, random: rand.New(rand.NewPCG(*seed, 1)), told: map[string]int{}, made: map[string]int{},
		namespace: fmt.Sprintf("chaos-%d-hostile-%x", *seed, time.Now().Unix()&0xffffff)}
	dir := filepath.Join(r.Cluster.Volumes, h.namespace)
	r.must(write(filepath.Join(dir, "file"), r.random, small))
	r.must(r.FurnishNamespace(ctx, h.namespace, dir))
	for _, s := range streams {
		if s.number == 0 {
			h.buckets = append(h.buckets, s.namespace)
		}
	}
	return h
}

// transfer is one of the tenant's: as insensitive and as slow as can be asked for.
func (h *hostile) transfer(name, bucket string) *v1alpha1.ArchiveTransfer {
	at := h.run.Transfer(h.namespace, name, product.Location{Bucket: bucket, Prefix: "hostile/" + name})
	at.Spec.Workers.Count, at.Spec.Workers.Image = liars, pauseImage
	at.Spec.Coordination.LeaseDuration = metav1.Duration{Duration: 10 * time.Minute}
	at.Spec.Coordination.Adaptive.CongestionSensitivityPercent = ptr.To(int32(0))
	return at
}

// attack lies until ctx ends: one transfer for each bucket, whose workers tell one lie
// after another.
func (h *hostile) attack(ctx context.Context) {
	var lying sync.WaitGroup
	defer lying.Wait()
	for i, bucket := range h.buckets {
		name := h.name("liar")
		if err := h.run.Client.Create(ctx, h.transfer(name, bucket)); err != nil {
			h.run.tell("hostile transfer: not created: %v", err)
			continue
		}
		for j := range liars {
			number := uint64(liars*i+j) + 2
			lying.Go(func() { h.lie(ctx, name, j, rand.New(rand.NewPCG(*seed, number))) })
		}
	}
}

// lie speaks for the number-th worker pod of a transfer; when the pod is replaced, for the next.
func (h *hostile) lie(ctx context.Context, transfer string, number int, random *rand.Rand) {
	for ctx.Err() == nil {
		p, err := h.findPuppet(ctx, transfer, number)
		if err != nil {
			pause(ctx, look)
			continue
		}
		h.speak(ctx, p, random)
	}
}

// speak reports until the lease or the pod is gone. Each lie is kept up for some reports
// and followed by an honest one.
func (h *hostile) speak(ctx context.Context, p *puppet, random *rand.Rand) {
	all := lies()
	for silent := 0; ctx.Err() == nil && silent < 20; {
		l := all[random.IntN(len(all))]
		for range 1 + random.IntN(6) {
			s := p.next()
			l.tell(p, &s)
			err := p.report(ctx, s)
			h.heard(l.kind, err)
			if err != nil {
				silent++
			} else {
				silent = 0
			}
			pause(ctx, lieInterval)
		}
		if err := p.report(ctx, p.next()); err == nil {
			silent = 0
		}
	}
}

func (h *hostile) heard(kind string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.rejected++
		return
	}
	h.told[kind]++
}

// findPuppet finds a running worker pod of the transfer.
func (h *hostile) findPuppet(ctx context.Context, transfer string, number int) (*puppet, error) {
	var pods corev1.PodList
	err := h.run.Client.List(ctx, &pods, client.InNamespace(h.namespace), client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleWorker})
	if err != nil {
		return nil, err
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Labels["batch.kubernetes.io/job-name"] == transfer+"-workers" && pod.Status.Phase == corev1.PodRunning &&
			pod.DeletionTimestamp == nil && pod.Labels["batch.kubernetes.io/job-completion-index"] == fmt.Sprint(number) {
			return h.run.newPuppet(ctx, pod)
		}
	}
	return nil, fmt.Errorf("find worker %d of %s: %w", number, transfer, errNothing)
}

// flood makes many transfers at once, of the greatest weight, that never get a pod.
func (h *hostile) flood(ctx context.Context, _ string, _ int) error {
	for i := range floodSize {
		at := h.transfer(h.name("flood"), h.buckets[i%len(h.buckets)])
		at.Spec.Weight = 1000
		at.Spec.Workers.NodeSelector = map[string]v1alpha1.LabelValue{"no-such-label": "anywhere"}
		if i%2 == 0 {
			at.Spec.Destination.Credentials.SecretName = "no-such-secret"
		}
		if err := h.run.Client.Create(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

func (h *hostile) name(kind string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serial++
	return fmt.Sprintf("%s-%04d", kind, h.serial)
}

// faults are what the tenant does beside lying. What it makes stays until the next clearing.
func (h *hostile) faults() []fault {
	return []fault{
		{kind: "flood of transfers", place: "hostile", least: 5 * time.Second, most: 30 * time.Second, begin: h.flood,
			end: func(ctx context.Context, _ string) error { return h.clearFlood(ctx) }},
		{kind: "malformed objects", place: "hostile", begin: h.malform},
	}
}

// clearFlood deletes the transfers of floods; on failure it is left to the next one.
func (h *hostile) clearFlood(ctx context.Context) error {
	var transfers v1alpha1.ArchiveTransferList
	err := bounded(ctx, func(ctx context.Context) error {
		if err := h.run.Client.List(ctx, &transfers, client.InNamespace(h.namespace)); err != nil {
			return err
		}
		for i := range transfers.Items {
			if strings.HasPrefix(transfers.Items[i].Name, "flood-") {
				if err := client.IgnoreNotFound(h.run.Client.Delete(ctx, &transfers.Items[i])); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		h.run.tell("flood of transfers: not all deleted yet: %v", err)
	}
	return nil
}

// remove deletes everything of the tenant.
func (h *hostile) remove(ctx context.Context) error {
	if err := h.clear(ctx); err != nil {
		return err
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.namespace}},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: h.namespace + "-" + product.ClaimName}},
	} {
		if err := client.IgnoreNotFound(h.run.Client.Delete(ctx, object)); err != nil {
			return err
		}
	}
	return h.run.await(ctx, 5*time.Minute, func(ctx context.Context) error {
		var namespace corev1.Namespace
		err := h.run.Client.Get(ctx, client.ObjectKey{Name: h.namespace}, &namespace)
		if err != nil {
			return client.IgnoreNotFound(err)
		}
		return fmt.Errorf("namespace %s is not gone: %s", h.namespace, namespace.Status.Phase)
	})
}

// clear deletes what the tenant has made, all but its namespace.
func (h *hostile) clear(ctx context.Context) error {
	errs := []error{h.clearMalformed(ctx)}
	for _, object := range []client.Object{&v1alpha1.ArchiveTransfer{}, &v1alpha1.PrefixLease{}, &corev1.Pod{}} {
		errs = append(errs, h.run.Client.DeleteAllOf(ctx, object, client.InNamespace(h.namespace),
			client.PropagationPolicy(metav1.DeletePropagationBackground)))
	}
	return errors.Join(errs...)
}

// compareShares measures what the others get with the hostile tenant and without it,
// in turn, while nothing else is broken.
func (r *run) compareShares(ctx context.Context, h *hostile) {
	r.t.Helper()
	var alone, attacked int64
	for range 2 {
		alone += r.received(ctx, shareWindow)
		attack, stop := context.WithCancel(ctx)
		var under sync.WaitGroup
		under.Go(func() { h.attack(attack) })
		for range 3 {
			if err := errors.Join(h.flood(ctx, "", 0), h.malform(ctx, "", h.random.IntN(1<<30))); err != nil {
				r.tell("hostile tenant: %v", err)
			}
		}
		pause(ctx, 15*time.Second) // pods start, and are leased to
		attacked += r.received(ctx, shareWindow)
		stop()
		under.Wait()
		r.must(h.clear(ctx))
		pause(ctx, 5*time.Second)
	}
	share := float64(attacked) / float64(max(alone, 1))
	fmt.Printf("others' goodput beside the hostile tenant: %.2f of what they had alone (%s and %s in %v each)\n",
		share, mebibytes(attacked), mebibytes(alone), 2*shareWindow)
	if least := leastShare * fairShare; share < least {
		r.t.Errorf("the hostile tenant left %.2f of their goodput to the others; want at least %.2f", share, least)
	}
}

// received is what comes to the S3 server within a time.
func (r *run) received(ctx context.Context, span time.Duration) int64 {
	r.t.Helper()
	before, err := r.Cluster.S3Received(ctx)
	r.must(err)
	pause(ctx, span)
	after, err := r.Cluster.S3Received(ctx)
	r.must(err)
	return after - before
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// judge expects that no lie of the tenant has become a word of ours, and that no manager
// has panicked or run out of memory.
func (h *hostile) judge(ctx context.Context) {
	h.run.t.Helper()
	var transfers v1alpha1.ArchiveTransferList
	h.run.must(h.run.Client.List(ctx, &transfers, client.InNamespace(h.namespace)))
	for i := range transfers.Items {
		at := &transfers.Items[i]
		progressing := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionProgressing)
		said := progressing != nil && progressing.Reason == v1alpha1.ReasonComplete
		if said || meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionComplete) {
			h.run.t.Errorf("%s, whose workers have sent nothing, says that it is complete: %+v", at.Name, at.Status.Conditions)
		}
	}
	var pods corev1.PodList
	h.run.must(h.run.Client.List(ctx, &pods, client.InNamespace(release.System)))
	for _, pod := range pods.Items {
		for _, c := range pod.Status.ContainerStatuses {
			for _, ended := range []*corev1.ContainerStateTerminated{c.LastTerminationState.Terminated, c.State.Terminated} {
				// A panic exits with 2; a leader that this test killed, with 137 and another reason.
				if ended != nil && (ended.Reason == "OOMKilled" || ended.ExitCode == 2) {
					h.run.t.Errorf("manager %s ended by itself: %s, exit code %d", pod.Name, ended.Reason, ended.ExitCode)
				}
			}
		}
	}
	fmt.Printf("lies told: %v; reports that the API server rejected: %d; malformed objects: %v\n", h.told, h.rejected, h.made)
}
