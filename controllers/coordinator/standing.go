package coordinator

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// standing is a grant that the API server has acknowledged.
type standing struct {
	lease types.NamespacedName
	uid   types.UID
	// generation counts the changes of the lease's spec, whoever made them.
	generation int64
	grant      protocol.GrantID
	at         time.Time // when it was acknowledged
}

func standingOf(lease *v1alpha1.PrefixLease) standing {
	return standing{
		lease: client.ObjectKeyFromObject(lease), uid: lease.UID, generation: lease.Generation,
		grant: protocol.GrantID{Epoch: lease.Spec.Epoch, Sequence: lease.Spec.Sequence},
	}
}

// standings are the grants that stand, by worker, as far as this process has written them: a
// write is acknowledged some time before the cache shows it. They are safe for concurrent use.
type standings struct {
	mu sync.Mutex
	of map[protocol.WorkerID]standing
}

func (s *standings) put(now time.Time, worker protocol.WorkerID, stands standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[protocol.WorkerID]standing{}
	}
	stands.at = now
	s.of[worker] = stands
}

func (s *standings) forget(worker protocol.WorkerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, worker)
}

// keep forgets all workers but those of these grants.
func (s *standings) keep(grants []protocol.Grant) {
	known := make(map[protocol.WorkerID]bool, len(grants))
	for _, g := range grants {
		known[g.Worker] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.of, func(worker protocol.WorkerID, _ standing) bool { return !known[worker] })
}

// newest is what stands of a worker by what this process has written and by what the cache
// holds, whichever is newer; cached tells that it is the latter. Without a name nothing stands.
func (s *standings) newest(now time.Time, worker protocol.WorkerID, lease *v1alpha1.PrefixLease) (stands standing, cached bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.of[worker]
	switch {
	case lease != nil && (own.uid != lease.UID || lease.Generation >= own.generation):
		return standingOf(lease), true
	case lease == nil && now.Sub(own.at) > cacheLag:
		return standing{}, false // it was deleted before the cache showed it
	}
	return own, false
}

// is tells that a grant stands, and that the lease in the cache, nil for none, is no newer.
func (s *standings) is(now time.Time, g protocol.Grant, lease *v1alpha1.PrefixLease) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.of[g.Worker]
	switch {
	case own.grant != g.ID():
		return false
	case lease == nil:
		return now.Sub(own.at) <= cacheLag
	}
	return own.uid == lease.UID && 0 < own.generation && lease.Generation <= own.generation
}
