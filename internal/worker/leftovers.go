package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// leftovers are the multipart uploads that earlier attempts have left open, by key. They
// are safe for concurrent use; the zero value is ready.
type leftovers struct {
	mu      sync.Mutex
	uploads map[string][]s3.OpenUpload
	// unlisted: the destination lists none, so it is not asked again.
	unlisted atomic.Bool
}

func (l *leftovers) add(uploads ...s3.OpenUpload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range uploads {
		same := func(o s3.OpenUpload) bool { return o.UploadID == u.UploadID }
		if l.uploads == nil {
			l.uploads = map[string][]s3.OpenUpload{}
		}
		if !slices.ContainsFunc(l.uploads[u.Key], same) {
			l.uploads[u.Key] = append(l.uploads[u.Key], u)
		}
	}
}

// take returns the uploads of a key, which are the caller's from then on.
func (l *leftovers) take(key string) []s3.OpenUpload {
	l.mu.Lock()
	defer l.mu.Unlock()
	uploads := l.uploads[key]
	delete(l.uploads, key)
	return uploads
}

// findLeft finds the uploads that an earlier attempt at an archive has left open. It asks
// for each key, since some servers find nothing by the beginning of one. Where the server lists none
// the archive is sent whole, which is no worse than if there were none. The error is one that blocks.
func (e *Engine) findLeft(ctx context.Context, layout archive.Layout, content archive.Archive) error {
	for _, key := range multipartKeys(layout, content) {
		if e.left.unlisted.Load() {
			return nil
		}
		uploads, err := e.options.Destination.OpenUploads(ctx, key)
		switch te, ok := errors.AsType[*s3.Error](err); {
		case err == nil:
			e.left.add(slices.DeleteFunc(uploads, func(u s3.OpenUpload) bool { return u.Key != key })...)
		case ok && te.AboutObject() && !te.Class.Retryable():
			if !e.left.unlisted.Swap(true) {
				e.options.Logger.Warn("uploads that an earlier run left open are not resumed", "reason", te.Reason, "error", te.Error())
			}
		case blocking(err) != nil:
			return err
		}
	}
	return nil
}

// leave keeps an upload that an error has left open for the next attempt in this process, and those that it was to
// resume, which it may not have come to. Of another, findLeft does.
func (e *Engine) leave(err error, taken []s3.OpenUpload) {
	if err == nil {
		return
	}
	e.left.add(taken...)
	if te, ok := errors.AsType[*s3.Error](err); ok && te.LeftOpen != nil {
		e.left.add(*te.LeftOpen)
		e.options.Logger.Warn("multipart upload left open", "key", te.LeftOpen.Key, "uploadID", te.LeftOpen.UploadID, "reason", te.Reason)
	}
}

// multipartKeys returns the keys of an archive that may have been sent in parts.
func multipartKeys(layout archive.Layout, content archive.Archive) []string {
	var keys []string
	tar, packs := layout.TarKey(content)
	if packs {
		keys = append(keys, tar)
	}
	for _, entry := range content.Entries {
		if entry.Sendable() && entry.Size >= mayBeMultipart && (!packs || entry.Object) {
			keys = append(keys, layout.Key(content.Prefix, entry.Path))
		}
	}
	return keys
}
