package copy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/transfer"
)

// plansAtOnce is how many plans are read at a time.
const plansAtOnce = 16

// beginRun gives the copy an ID: a new one, or that of an unfinished run of the same source
// to the same place, which is then gone on with. A packed run leaves its plan, which tells
// that its archives are not to be removed, before it sends anything.
func beginRun(ctx context.Context, o *Options, client *transfer.Client, source string, alone bool) (plan archive.Plan, resumed bool, err error) {
	if o.Layout.Tar == nil {
		o.Layout.UID = uuid.NewString()
		return archive.Plan{Layout: o.Layout}, false, nil
	}
	plan = archive.Plan{Layout: o.Layout, Source: source, Begun: time.Now().UTC()}
	var found *archive.Plan
	if alone {
		found = unfinished(ctx, client, plan)
	}
	if found != nil {
		plan.Layout = found.Layout
		if err := plan.Write(ctx, client); err != nil {
			return plan, false, err
		}
		// Whoever removes the run looks at the plan once more after it has said so.
		if resumed, err = restore.Kept(ctx, client, plan.Layout); err != nil {
			return plan, false, err
		}
	}
	if !resumed {
		plan.Layout = o.Layout
		plan.Layout.UID = uuid.NewString()
		plan.Layout.Run = plan.Layout.UID
		if err := plan.Layout.Validate(); err != nil {
			return plan, false, err
		}
		if err := plan.Write(ctx, client); err != nil {
			return plan, false, err
		}
	}
	o.Layout = plan.Layout
	return plan, resumed, nil
}

// errNotOwn says that a run cannot be committed by who has begun it.
var errNotOwn = errors.New("it was removed, or gone on with elsewhere, while it was under way")

// own returns an error unless a packed run is still as it was begun. Prune removes one that
// has stored nothing for long, which may be that of a process that was stopped or sends one
// huge file: its index would refer to archives that are gone. Who may not read cannot tell.
func own(ctx context.Context, b restore.Bucket, begun archive.Plan) error {
	if begun.Layout.Run == "" {
		return nil
	}
	err := asBegun(ctx, b, begun)
	request, isRequest := errors.AsType[*transfer.Error](err)
	switch {
	case err == nil, isRequest && request.Class == transfer.Permission:
		return nil
	case errors.Is(err, transfer.ErrNotFound), errors.Is(err, errNotOwn):
		return fmt.Errorf("run %s is not finished: %w: copy again", begun.Layout.UID, errNotOwn)
	default:
		return fmt.Errorf("look whether run %s is still there: %w", begun.Layout.UID, err)
	}
}

func asBegun(ctx context.Context, b restore.Bucket, begun archive.Plan) error {
	data, err := b.Get(ctx, begun.Layout.PlanKey())
	if err != nil {
		return err
	}
	plan, err := archive.DecodePlan(data)
	if err != nil {
		return err
	}
	kept, err := restore.Kept(ctx, b, begun.Layout)
	if err == nil && (!kept || !plan.Begun.Equal(begun.Begun)) {
		err = errNotOwn
	}
	return err
}

// unfinished returns the plan of the run begun last that has no index and copies the same
// source to the same place in the same way; nil if there is none. Who may not list or read
// has nothing to go on with.
func unfinished(ctx context.Context, client *transfer.Client, like archive.Plan) *archive.Plan {
	ids, err := restore.RunIDs(ctx, client, like.Layout.Base)
	if err != nil {
		return nil
	}
	var mu sync.Mutex
	var newest *archive.Plan
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(plansAtOnce)
	for _, id := range ids {
		group.Go(func() error {
			l := archive.Layout{Base: like.Layout.Base, UID: id}
			data, err := client.Get(working, l.PlanKey())
			if err != nil {
				return nil
			}
			plan, err := archive.DecodePlan(data)
			if err != nil || plan.Layout.UID != id || !sameWork(plan, like) {
				return nil
			}
			if _, err := client.Stat(working, l.IndexKey()); !errors.Is(err, transfer.ErrNotFound) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if newest == nil || plan.Begun.After(newest.Begun) {
				newest = &plan
			}
			return nil
		})
	}
	_ = group.Wait() // Nothing returns an error.
	return newest
}

// sameWork says that two plans are of the same source and make the same archives.
func sameWork(a, b archive.Plan) bool {
	a.Layout.UID, a.Layout.Run = b.Layout.UID, b.Layout.Run
	return a.Source != "" && a.Source == b.Source && reflect.DeepEqual(a.Layout, b.Layout)
}

// sourceID names a directory of a machine without telling either.
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

// uploads lists and aborts multipart uploads; *transfer.Client does.
type uploads interface {
	OpenUploads(ctx context.Context, prefix string) ([]transfer.OpenUpload, error)
	AbortUpload(ctx context.Context, u transfer.OpenUpload) error
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
