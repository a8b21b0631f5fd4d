package copy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// beginRun gives the copy an ID: a new one, or that of an unfinished run of the same source
// to the same place, which is then resumed. A packed run leaves its plan, which tells
// that its archives are not to be removed, before it sends anything.
func beginRun(ctx context.Context, o *Options, b restore.PruneBucket, source string, lock sourceLock) (plan archive.Plan, resumed bool, err error) {
	if o.Layout.Tar == nil {
		o.Layout.UID = uuid.NewString()
		return archive.Plan{Layout: o.Layout}, false, nil
	}
	plan = archive.Plan{Layout: o.Layout, Source: source, Begun: time.Now().UTC(), Lock: lock.name}
	if lock.held {
		a := adoption{bucket: b, plan: plan, logger: o.Logger}
		if resumed, err = a.adopt(ctx); err != nil {
			return plan, false, err
		}
		if resumed {
			plan = a.plan
		}
	}
	if !resumed {
		plan.Layout.UID = uuid.NewString()
		plan.Layout.Run = plan.Layout.UID
		if err := plan.Layout.Validate(); err != nil {
			return plan, false, err
		}
		if err := plan.Write(ctx, b); err != nil {
			return plan, false, err
		}
	}
	o.Layout = plan.Layout
	return plan, resumed, nil
}

// errNotOwn means that a run no longer belongs to the process that began it.
var errNotOwn = errors.New("it was removed, or resumed elsewhere, while it was running")

// own returns an error unless a packed run is still as it was begun. Prune removes one that
// has stored nothing for long, which may be that of a process that was stopped or sends one
// huge file: its index would refer to archives that are gone. Without the right to read this
// cannot be checked.
func own(ctx context.Context, b restore.Bucket, begun archive.Plan) error {
	if begun.Layout.Run == "" {
		return nil
	}
	return lost(begun, asBegun(ctx, b, begun))
}

// lost returns the error for a run that was taken away, nil if that is not known.
func lost(begun archive.Plan, err error) error {
	request, isRequest := errors.AsType[*s3.Error](err)
	switch {
	case err == nil, isRequest && request.Class == s3.Permission:
		return nil
	case errors.Is(err, s3.ErrNotFound), errors.Is(err, errNotOwn):
		return fmt.Errorf("run %s is not finished: %w: copy again", begun.Layout.UID, errNotOwn)
	default:
		return fmt.Errorf("check whether run %s still exists: %w", begun.Layout.UID, err)
	}
}

func asBegun(ctx context.Context, b restore.Bucket, begun archive.Plan) error {
	if err := samePlan(ctx, b, begun); err != nil {
		return err
	}
	// A prune that finds the run alive removes its mark at once.
	for attempt := 1; ; attempt++ {
		kept, err := restore.Kept(ctx, b, begun.Layout)
		switch {
		case err != nil || kept:
			return err
		case attempt == markAttempts:
			return errNotOwn
		}
		select {
		case <-time.After(markPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const (
	// markAttempts and markPause are how often and after what time a mark is looked for
	// again.
	markAttempts = 4
	markPause    = 3 * time.Second
)

// samePlan returns errNotOwn if another process has resumed the run since.
func samePlan(ctx context.Context, b restore.Bucket, begun archive.Plan) error {
	data, err := b.Get(ctx, begun.Layout.PlanKey())
	if err != nil {
		return err
	}
	plan, err := archive.DecodePlan(data)
	if err == nil && !plan.Begun.Equal(begun.Begun) {
		err = errNotOwn
	}
	return err
}

// sourceID names a directory of a machine without telling either. Containers of one image may
// share all of it, so it says which runs are worth a look, and not that they are dead.
func sourceID(dir string) string {
	path, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	machine, _ := os.ReadFile("/etc/machine-id") // Not every machine has one.
	sum := sha256.Sum256([]byte(strings.Join([]string{host, strings.TrimSpace(string(machine)), path}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// uploads lists and aborts multipart uploads; *s3.Client does.
type uploads interface {
	OpenUploads(ctx context.Context, prefix string) ([]s3.OpenUpload, error)
	AbortUpload(ctx context.Context, u s3.OpenUpload) error
}

// abortOwn aborts what is open at the keys of a packed run that has ended: uploads of
// archives that have become others since the run was interrupted. Nobody else's can be
// there. The run is whole without it, so that trouble with it is none of the run.
func abortOwn(ctx context.Context, client uploads, l archive.Layout) {
	if l.Run == "" {
		return
	}
	below := l.Base
	if below != "" {
		below += "/"
	}
	open, err := client.OpenUploads(ctx, below)
	if err != nil {
		return
	}
	for _, u := range open {
		if l.Owns(u.Key) {
			_ = client.AbortUpload(ctx, u)
		}
	}
}
