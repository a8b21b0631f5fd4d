package upload

import (
	"cmp"
	"context"
	"errors"
	"time"

	"cargoship.dev/operator/internal/s3"
)

// putParts sends the object in parts, which are assembled once all are stored and the
// source is still the planned one.
//
// An upload keeps the metadata and the settings that it was created with, which an earlier run
// may have chosen otherwise. An object that was resumed and has others is sent anew.
func (o *object) putParts(ctx context.Context) (Receipt, error) {
	upload, err := o.resume(ctx)
	if err != nil {
		return Receipt{}, err
	}
	if upload.UploadID != "" {
		receipt, err := o.putInto(ctx, upload, s3.OfResumed)
		if asked, err := o.madeAsAsked(ctx, err); asked || err != nil {
			return receipt, err
		}
		o.stored = storedParts{}
	} else if o.file.MayExist {
		if receipt, found, err := o.findStored(ctx); found || err != nil {
			return receipt, err
		}
	}
	if upload, err = o.create(ctx); err != nil {
		return Receipt{}, err
	}
	return o.putInto(ctx, upload, func(e *s3.Error) *s3.Error { return e })
}

// putInto sends the object by an upload; judge has the last word on an error.
func (o *object) putInto(ctx context.Context, upload s3.OpenUpload, judge func(*s3.Error) *s3.Error) (Receipt, error) {
	receipt, err := o.fill(ctx, upload)
	if err != nil {
		return o.givenUp(ctx, upload, judge(s3.Classify("store", o.file.Key, err)))
	}
	return receipt, nil
}

// madeAsAsked reports whether an object that was resumed with an outcome has what is asked for.
func (o *object) madeAsAsked(ctx context.Context, outcome error) (asked bool, err error) {
	if outcome != nil || o.own {
		return true, outcome
	}
	err = o.control(ctx, "look up object", func(ctx context.Context) (err error) {
		asked, err = o.client.MadeAsAsked(ctx, o.object())
		return err
	})
	if e, ok := errors.AsType[*s3.Error](err); ok && e.Class == s3.Permission {
		return false, nil
	}
	return asked, err
}

// givenUp returns the outcome for an object whose upload cannot go on. If the upload is gone,
// another attempt may have completed it.
func (o *object) givenUp(ctx context.Context, upload s3.OpenUpload, cause *s3.Error) (Receipt, error) {
	if cause.Reason == s3.ReasonUploadVanished {
		if receipt, found, _ := o.findStored(ctx); found {
			return receipt, nil
		}
	}
	return Receipt{}, o.abandon(ctx, upload, cause)
}

// create opens a multipart upload. An attempt whose answer was lost may have opened one
// as well; that is aborted.
func (o *object) create(ctx context.Context) (s3.OpenUpload, error) {
	if err := o.client.MayStore(ctx, o.file.Key); err != nil {
		return s3.OpenUpload{}, err
	}
	var upload s3.OpenUpload
	var lost bool
	begun := o.client.Now()
	err := o.control(ctx, opCreate, func(ctx context.Context) error {
		ctx, stop := lingering(ctx, createGrace)
		defer stop()
		var err error
		upload, err = o.client.CreateUpload(ctx, o.object(), o.bodies.algorithm)
		if err != nil {
			e := s3.Classify(opCreate, o.file.Key, err)
			lost = lost || e.Class == s3.Transient || e.Reason == s3.ReasonAnswerUnreadable
		}
		return err
	})
	if lost {
		// An upload that cannot be listed or aborted stays open, which does no harm to the file.
		o.sweep(ctx, upload, begun)
	}
	if err == nil {
		o.own = true
		o.clearEmpty(ctx, upload)
	}
	if err == nil && ctx.Err() != nil {
		return s3.OpenUpload{}, o.abandon(ctx, upload, s3.Classify(opCreate, o.file.Key, ctx.Err()))
	}
	return upload, err
}

const opCreate = "create multipart upload"

// createGrace is how long the creation of an upload may go on once its context has ended.
// Cut off, it might open an upload of which nobody knows.
const createGrace = 500 * time.Millisecond

// lingering returns a context that ends some time after ctx.
func lingering(ctx context.Context, grace time.Duration) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel() }
}

// fill sends all parts, in order as far as they are made so and side by side, and completes
// the upload.
func (o *object) fill(ctx context.Context, upload s3.OpenUpload) (Receipt, error) {
	parts, err := o.sendParts(ctx, upload)
	if err != nil {
		return Receipt{}, err
	}
	if err := o.source.unchanged(); err != nil {
		return Receipt{}, s3.SourceError("read", o.file.Key, err)
	}
	all := make([]s3.Part, len(parts))
	for i, p := range parts {
		all[i] = *p
	}
	return o.complete(ctx, s3.Assemble(upload, o.bodies.algorithm, all))
}

// sendParts returns the parts once all are stored.
func (o *object) sendParts(ctx context.Context, upload s3.OpenUpload) (parts []*s3.Part, err error) {
	g := newPartGroup(ctx)
	defer g.end()
	defer o.spreadParts()()
	var more bool
	for n := 0; ; n++ {
		if more, err = o.source.more(g.beginning, n); !more || o.spread.begin(g.beginning) != nil {
			break
		}
		begun, p := time.Now(), &s3.Part{Number: int32(n + 1)}
		parts = append(parts, p)
		g.start(func() error {
			err := o.putPart(g, upload, p)
			o.spread.end(p.Length, time.Since(begun))
			return err
		})
	}
	return parts, cmp.Or(g.wait(), ctx.Err(), err)
}

// spreadParts begins to bound the parts of the object; leave is to be called when all are
// done. Objects that are sent in parts at the same time share the window.
func (o *object) spreadParts() (leave func()) {
	prefix := o.file.Prefix
	o.parted.add(prefix, 1)
	o.spread = newSpread(func() int {
		window, _ := o.gate.limit(prefix)
		return min(window/o.parted.count(prefix), o.MaxInFlight()) + partsAhead
	})
	o.bodies.sent = &o.spread.sent
	return func() { o.parted.add(prefix, -1) }
}

// partsAhead is how many parts beyond the window are read meanwhile.
const partsAhead = 2

// putPart sends a part unless it is stored already.
func (o *object) putPart(g *partGroup, upload s3.OpenUpload, p *s3.Part) error {
	if stored, err := o.isStored(g.sending, p); stored || err != nil {
		return err
	}
	sent := request{
		op: "upload part", key: o.file.Key, prefix: o.file.Prefix, from: o.source, part: part{n: int(p.Number - 1)},
		begins: g.beginning,
		store: func(ctx context.Context, b *s3.Body) (etag string, err error) {
			etag, err = o.client.UploadPart(ctx, upload, p.Number, o.bodies.algorithm, b)
			if err != nil && s3.Status(err) == 0 {
				o.cutOff.Store(true)
			}
			return etag, err
		},
	}
	err := o.do(g.sending, &sent)
	p.ETag, p.Sum, p.Length = sent.stored.etag, sent.stored.sum, sent.stored.length
	return err
}

// complete makes the parts an object. When the answer to one attempt was lost, the next
// may find the upload gone and the object there.
func (o *object) complete(ctx context.Context, a s3.Assembly) (Receipt, error) {
	var etag string
	attempts := 0
	err := o.control(ctx, "complete multipart upload", func(ctx context.Context) error {
		attempts++
		var err error
		etag, err = o.client.CompleteUpload(ctx, a)
		if e, ok := errors.AsType[*s3.Error](err); ok && attempts > 1 && e.Reason == s3.ReasonUploadVanished {
			if stored, ok := o.client.Assembled(ctx, a); ok {
				etag = stored
				return nil
			}
		}
		return err
	})
	return o.receipt(etag, a.Sum, len(a.Parts), a.Size), err
}
