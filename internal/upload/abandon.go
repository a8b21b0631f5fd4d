package upload

import (
	"context"
	"time"

	"cargoship.dev/operator/internal/s3"
)

const (
	// abortTimeout bounds how long an upload that failed is being aborted, and
	// stoppedTimeout one of a run that is stopped, since somebody waits for its end.
	abortTimeout   = 30 * time.Second
	stoppedTimeout = 4 * time.Second
)

// abandon aborts the upload because of cause, also when ctx has ended, and returns the
// cause, with the upload in LeftOpen if it could not be aborted. An upload that may go on
// is left open as well if uploads are to be kept.
func (o *object) abandon(ctx context.Context, upload s3.OpenUpload, cause *s3.Error) error {
	if o.keepOpen && cause.Class != s3.Source && cause.Class != s3.Integrity && cause.Reason != s3.ReasonUploadVanished &&
		cause.Reason != s3.ReasonUploadConflict {
		if o.own {
			o.kept.add(upload, o.file.Metadata)
		}
		told := *cause
		told.LeftOpen = &upload
		return &told
	}
	ctx, cancel := aborting(ctx)
	defer cancel()
	err := o.abort(ctx, upload)
	if err == nil && o.cutOff.Load() {
		err = o.settle(ctx, upload)
	}
	if err == nil {
		return cause
	}
	told := *cause
	told.LeftOpen = &upload
	return &told
}

// aborting returns the context in which uploads are aborted, also when ctx has ended.
func aborting(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := abortTimeout
	if ctx.Err() != nil {
		timeout = stoppedTimeout
	}
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}

func (o *object) abort(ctx context.Context, upload s3.OpenUpload) error {
	return o.cleanup(ctx, "abort multipart upload", func(ctx context.Context) error {
		return o.client.AbortOnce(ctx, upload)
	})
}

// settle makes sure that the upload stays aborted. A part that was cut off may still be
// stored after the abort and bring the upload back; see AbortMultipartUpload in the
// Amazon S3 API reference.
func (o *object) settle(ctx context.Context, upload s3.OpenUpload) error {
	for wait := 50 * time.Millisecond; wait < time.Second; wait *= 4 {
		if err := s3.Sleep(ctx, wait); err != nil {
			return err
		}
		var open bool
		err := o.cleanup(ctx, "list parts", func(ctx context.Context) (err error) {
			open, err = o.client.IsOpen(ctx, upload)
			return err
		})
		if err == nil && !open {
			continue
		}
		if err := o.abort(ctx, upload); err != nil {
			return err
		}
	}
	return nil
}
