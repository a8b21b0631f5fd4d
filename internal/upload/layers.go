package upload

import (
	"context"
	"time"

	"cargoship.dev/operator/internal/s3"
)

// request is one request on its way down through the layers, and up again.
type request struct {
	op, key, prefix string
	// from is what the body is a part of; nil for a request without data.
	from source
	part part
	// clears: it clears away, and must not wait for the gate for long.
	clears bool
	// send is one attempt.
	send func(ctx context.Context, b *s3.Body) error

	body *s3.Body
	// grant is the one under whose limits it starts.
	grant Grant
	// admitted is called once the request is through the gate; nil for no one.
	admitted func()
}

// do sends a request as often as it takes. Every attempt makes the body anew, so that none
// waits for its turn holding memory that others need to make progress. It is the first of
// the layers, each of which does one thing and calls the next:
//
//	do       repeats what may help, within a budget
//	prepare  makes the body while the request waits, if there is memory for that
//	admit    waits for the gate, and tells it what came of the request
//	load     makes the body if there is none yet
//	measure  counts the request and takes its time
//	attempt  sends it, and classifies the error
func (u *Uploader) do(ctx context.Context, r *request) error {
	return u.retrier.Do(ctx, func() *s3.Error { return u.prepare(ctx, r) })
}

func (u *Uploader) prepare(ctx context.Context, r *request) *s3.Error {
	if r.from == nil {
		return u.admit(ctx, r)
	}
	var err error
	if r.body, r.admitted, err = r.from.ahead(ctx, r.part); err != nil {
		return s3.SourceError("read", r.key, err)
	}
	defer r.done()
	return u.admit(ctx, r)
}

// done gives back what the request holds.
func (r *request) done() {
	r.passed()
	r.body.Free()
	r.body = nil
}

// passed tells, once, that the request is through the gate or will never be.
func (r *request) passed() {
	if r.admitted != nil {
		r.admitted()
		r.admitted = nil
	}
}

func (u *Uploader) admit(ctx context.Context, r *request) *s3.Error {
	release, err := u.acquire(ctx, r)
	if err != nil {
		return s3.Classify(r.op, r.key, err)
	}
	defer release()
	r.passed()
	e := u.load(ctx, r)
	switch {
	case e == nil:
		u.gate.Accepted(r.prefix)
	case e.Class == s3.Throttled:
		u.gate.Throttled(r.prefix)
	}
	return e
}

// abortPatience bounds how long a request that clears away waits for the gate.
const abortPatience = time.Second

// acquire waits for the gate. What clears away does not wait for long, nor when the gate is
// closed: it may be so for good, and an open upload is worse than one small request beyond
// the window.
func (u *Uploader) acquire(ctx context.Context, r *request) (release func(), err error) {
	if !r.clears {
		release, r.grant, err = u.gate.Acquire(ctx, r.prefix)
		return release, err
	}
	if window, _ := u.gate.limit(r.prefix); window == 0 {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, abortPatience)
	defer cancel()
	if release, r.grant, err = u.gate.Acquire(ctx, r.prefix); err != nil {
		return func() {}, nil
	}
	return release, nil
}

func (u *Uploader) load(ctx context.Context, r *request) *s3.Error {
	if r.from != nil && r.body == nil {
		var err error
		if r.body, err = r.from.now(ctx, r.part); err != nil {
			return s3.SourceError("read", r.key, err)
		}
	}
	return u.measure(ctx, r)
}

func (u *Uploader) measure(ctx context.Context, r *request) *s3.Error {
	ctx, t := s3.WithTiming(ctx)
	m := u.meter.begin(r.prefix, r.grant)
	if e := u.attempt(ctx, r); e != nil {
		m.refused(e.Class)
		return e
	}
	var bytes int64
	if r.body != nil {
		bytes = r.body.Length
	}
	m.accepted(bytes, t.Service(), r.body != nil)
	return nil
}

func (u *Uploader) attempt(ctx context.Context, r *request) *s3.Error {
	if err := r.send(ctx, r.body); err != nil {
		return u.client.Judge(ctx, r.op, r.key, err)
	}
	return nil
}
