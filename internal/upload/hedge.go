package upload

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"cargoship.dev/operator/internal/s3"
)

// errOvertaken is the cause for which one of two attempts ends once the other has succeeded.
var errOvertaken = errors.New("the other attempt was faster")

// overtaken tells that a request failed for no other reason.
func overtaken(ctx context.Context, e *s3.Error) bool {
	return e.Reason == s3.ReasonCanceled && errors.Is(context.Cause(ctx), errOvertaken)
}

// hedge sends a request with data and, if its answer takes far longer than those to others of its
// kind, sends it a second time: the same body, to the same key. The first that succeeds ends the
// other. The second passes gate and meter as any request does, but never waits for them, so that
// it takes nobody's place.
func (u *Uploader) hedge(ctx context.Context, r *request) *s3.Error {
	if r.store == nil {
		return u.measure(ctx, r)
	}
	kind := kindOf(r)
	after, known := u.hedger.begin(kind)
	begun := time.Now()
	if !known {
		e := u.measure(ctx, r)
		if e == nil {
			u.hedger.took(kind, time.Since(begun))
		}
		return e
	}
	first, overtake := context.WithCancelCause(ctx)
	defer overtake(nil)
	s := newSecond(ctx, u, r, overtake)
	timer := time.AfterFunc(after, func() { s.run(kind, after) })
	e := u.measure(first, r)
	if !timer.Stop() {
		e = s.settle(first, e)
	}
	s.end(nil)
	if e == nil {
		// Of a first attempt that was overtaken this is less than it would have taken.
		u.hedger.took(kind, time.Since(begun))
	}
	return e
}

// second is the second attempt at a request.
type second struct {
	*Uploader
	first *request
	ctx   context.Context
	// end ends this attempt, overtake the first.
	end, overtake context.CancelCauseFunc
	// sent: it is under way or was. done is closed once it has ended; stored is valid then,
	// if won.
	sent   atomic.Bool
	done   chan struct{}
	won    bool
	stored outcome
}

func newSecond(ctx context.Context, u *Uploader, first *request, overtake context.CancelCauseFunc) *second {
	s := &second{Uploader: u, first: first, overtake: overtake, done: make(chan struct{})}
	s.ctx, s.end = context.WithCancelCause(ctx)
	return s
}

// run sends the request once there is room to, unless the first ends before.
func (s *second) run(kind kind, late time.Duration) {
	defer close(s.done)
	a, ok := s.await(late)
	if !ok {
		return
	}
	defer a.release()
	s.sent.Store(true)
	s.meter.hedged(s.first.prefix)
	r := &request{
		op: s.first.op, key: s.first.key, prefix: s.first.prefix, store: s.first.store,
		body: s.first.body, grant: a.from, charge: a.charge,
	}
	begun := time.Now()
	e := s.measure(s.ctx, r)
	switch {
	case e == nil:
		s.gate.Accepted(r.prefix)
		s.hedger.took(kind, time.Since(begun))
	case e.Class == s3.Throttled:
		s.gate.Throttled(r.prefix)
	}
	// Otherwise the first may yet be stored with another ETag, and has to be waited for.
	if e == nil && r.body.HasETag(s.ctx, r.stored.etag) {
		s.won, s.stored = true, r.stored
		s.overtake(errOvertaken)
	}
}

// await waits until the request may be sent a second time.
func (s *second) await(late time.Duration) (admission, bool) {
	pause := time.NewTicker(min(max(late/4, leastPause), mostPause))
	defer pause.Stop()
	for s.ctx.Err() == nil && s.first.from.unchanged() == nil {
		if s.client.MayStoreAgain(s.ctx, !s.first.part.whole) {
			if a, ok := s.admitted(); ok {
				return a, true
			}
		}
		select {
		case <-pause.C:
		case <-s.ctx.Done():
		}
	}
	return admission{}, false
}

const (
	// leastPause and mostPause bound how long a request that is late waits before it looks
	// for room again.
	leastPause = 50 * time.Millisecond
	mostPause  = time.Second
)

// admitted takes what a second attempt costs, if there is some.
func (s *second) admitted() (admission, bool) {
	if !s.hedger.take() {
		return admission{}, false
	}
	a, ok := s.gate.spare(s.first.prefix)
	if !ok {
		s.hedger.giveBack()
	}
	return a, ok
}

// settle waits for the second attempt once the first has ended with e, and returns the outcome of
// both.
func (s *second) settle(first context.Context, e *s3.Error) *s3.Error {
	if e == nil || !s.sent.Load() && !overtaken(first, e) {
		s.end(errOvertaken)
	}
	<-s.done
	if e == nil || !s.won {
		return e
	}
	if e.Class == s3.Throttled {
		s.gate.Throttled(s.first.prefix)
	}
	s.first.stored = s.stored
	return nil
}
