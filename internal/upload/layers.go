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
	// begins ends when nothing may begin any more that has not; nil where that is with its own context.
	begins context.Context
	// clears: it cleans up, and must not wait for the gate for long.
	clears bool
	// send is one attempt; of a request with data it is store, which returns the ETag. Two
	// attempts may run at once.
	send  func(ctx context.Context) error
	store func(ctx context.Context, b *s3.Body) (etag string, err error)

	body *s3.Body
	// stored is what the request has stored, if it has data.
	stored outcome
	// grant is the one under whose limits it starts, charge tells the gate what it carries.
	grant  Grant
	charge func(bytes int64)
	// admitted is called once the request is through the gate; nil for no one.
	admitted func()
}

// outcome is what a request has stored.
type outcome struct {
	etag   string
	sum    s3.CRC
	length int64
}

// do sends a request, with retries. Every attempt makes the body anew, so that none waits
// for its turn holding memory that others need to make progress. It is the first of the
// layers, each of which does one thing and calls the next:
//
//	do       retries errors that may pass, within a budget
//	prepare  makes the body while the request waits, if there is memory for it
//	admit    waits for the gate, and reports the outcome to it
//	load     makes the body if there is none yet
//	hedge    sends the request once more if it is late, and takes the first answer
//	measure  counts the request and takes its time
//	attempt  sends it, and classifies the error
func (u *Uploader) do(ctx context.Context, r *request) error {
	return u.retrier.Do(ctx, func(ctx context.Context) *s3.Error { return u.prepare(ctx, r) })
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

// passed reports, once, that the request is through the gate or will never be.
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

// abortPatience bounds how long a cleanup request waits for the gate.
const abortPatience = time.Second

// acquire waits for the gate. A cleanup request does not wait for long, nor at a closed gate,
// which may stay closed: an upload left open is worse than one small request beyond the
// window.
func (u *Uploader) acquire(ctx context.Context, r *request) (release func(), err error) {
	if !r.clears {
		if r.begins != nil {
			ctx = r.begins
		}
		a, err := u.gate.admit(ctx, r.prefix)
		r.grant, r.charge = a.from, a.charge
		return a.release, err
	}
	r.charge = nil
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
	return u.hedge(ctx, r)
}

func (u *Uploader) measure(ctx context.Context, r *request) *s3.Error {
	ctx, t := s3.WithTiming(ctx)
	m := u.meter.begin(r.prefix, r.grant)
	if r.charge != nil {
		r.charge(r.carries())
		ctx = context.WithValue(ctx, admittedKey{}, true)
	}
	switch e := u.attempt(ctx, r); {
	case e == nil:
	case overtaken(ctx, e):
		m.overtaken()
		return e
	default:
		m.failed(e.Class)
		return e
	}
	m.accepted(r.carries(), t.Service(), r.body != nil)
	return nil
}

// carries is how many bytes the request carries.
func (r *request) carries() int64 {
	if r.body == nil {
		return 0
	}
	return r.body.Length
}

func (u *Uploader) attempt(ctx context.Context, r *request) *s3.Error {
	var err error
	if r.store == nil {
		err = r.send(ctx)
	} else {
		r.stored = outcome{sum: r.body.Sum(), length: r.body.Length}
		r.stored.etag, err = r.store(ctx, r.body)
	}
	if err != nil {
		return u.client.Judge(ctx, r.op, r.key, err)
	}
	if r.store != nil {
		u.client.LearnETag(ctx, r.body, r.stored.etag)
	}
	return nil
}
