package worker

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// keysAtOnce is how many keys are asked for open uploads at a time.
const keysAtOnce = 16

// abortUploads aborts the open uploads of files that the transfer has planned. Others
// below the same base prefix are somebody else's. A server that tells of none keeps them.
func (f finisher) abortUploads(ctx context.Context, plan archive.Plan) error {
	below := plan.Layout.Base
	if below != "" {
		below += "/"
	}
	inventory := archive.NewInventory(f.client, plan.Layout)
	uploads, err := f.client.OpenUploads(ctx, below)
	if err == nil {
		err = f.abortPlanned(ctx, inventory, plan.Layout, uploads)
	}
	var finds bool
	if err == nil {
		finds, err = f.client.FindsUploads(ctx, below, plan.Layout.PlanKey()+".probe")
	}
	if err == nil && !finds {
		err = f.abortByKey(ctx, inventory, plan)
	}
	if te, ok := errors.AsType[*s3.Error](err); ok && te.AboutObject() && !te.Class.Retryable() && ctx.Err() == nil {
		f.logger.Warn("uploads that workers left open are not aborted", "reason", te.Reason, "error", te.Error())
		return nil
	}
	return err
}

func (f finisher) abortPlanned(ctx context.Context, inventory *archive.Inventory, layout archive.Layout, uploads []s3.OpenUpload) error {
	for _, u := range uploads {
		planned, err := isPlanned(ctx, inventory, layout, u.Key)
		if err != nil {
			return err
		}
		if planned {
			if err := f.abort(ctx, u); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f finisher) abort(ctx context.Context, u s3.OpenUpload) error {
	if err := f.client.AbortUpload(ctx, u); err != nil {
		return err
	}
	f.logger.Info("aborted a multipart upload", "key", u.Key)
	return nil
}

// abortByKey asks for each key that may have been sent in parts, of a server that finds
// uploads by their whole key only.
func (f finisher) abortByKey(ctx context.Context, inventory *archive.Inventory, plan archive.Plan) error {
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(keysAtOnce)
	for _, p := range plan.Prefixes {
		for number := range p.Archives {
			content, err := inventory.Archive(asking, p.Name, number)
			if err != nil {
				return errors.Join(err, group.Wait())
			}
			for _, key := range multipartKeys(plan.Layout, content) {
				group.Go(func() error { return f.abortAt(asking, key) })
			}
		}
	}
	return group.Wait()
}

func (f finisher) abortAt(ctx context.Context, key string) error {
	uploads, err := f.client.OpenUploads(ctx, key)
	for _, u := range uploads {
		if err == nil && u.Key == key {
			err = f.abort(ctx, u)
		}
	}
	return err
}
