package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/transfer"
)

// finishPatience is how long Finish waits for a destination that does not answer.
const finishPatience = 5 * time.Minute

// Finish closes a transfer whose workers are gone: it writes the index and aborts
// the multipart uploads that workers have left open. With abortOnly the transfer
// is being deleted, and it aborts only. It waits for a destination that does not
// answer, and returns an error that waiting does not mend at once.
func (s Site) Finish(ctx context.Context, abortOnly bool, logger *slog.Logger) error {
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	f := finisher{site: s, client: client, logger: logger}
	deadline := time.Now().Add(finishPatience)
	for pause := probeAfter; ; pause = min(2*pause, probeMost) {
		err := f.run(ctx, abortOnly)
		if err == nil || !mayPass(err) || time.Now().Add(pause).After(deadline) {
			return err
		}
		logger.Warn("trying again", "error", err.Error())
		if !wait(ctx, pause) {
			return err
		}
	}
}

// mayPass says that the error may pass by itself.
func mayPass(err error) bool {
	te, ok := errors.AsType[*transfer.Error](err)
	return ok && (te.Class.Retryable() || te.Reason == transfer.ReasonEndpointUnreachable)
}

type finisher struct {
	site   Site
	client *transfer.Client
	logger *slog.Logger
}

func (f finisher) run(ctx context.Context, abortOnly bool) error {
	plan, found, err := archive.ReadPlan(ctx, f.client, f.site.layout())
	switch {
	case abortOnly && isBucketMissing(err):
		// Nothing can be open in a bucket that is not there.
		return nil
	case err != nil:
		return err
	case !found && abortOnly:
		// Without a plan nothing was ever sent.
		return nil
	case !found:
		return errNoPlan
	}
	if err := f.abortUploads(ctx, plan.Layout); err != nil || abortOnly {
		return err
	}
	return f.writeIndex(ctx, plan)
}

func isBucketMissing(err error) bool {
	te, ok := errors.AsType[*transfer.Error](err)
	return ok && te.Reason == transfer.ReasonBucketNotFound
}

// abortUploads aborts the open uploads of files that the transfer has planned.
// Others below the same base prefix are somebody else's.
func (f finisher) abortUploads(ctx context.Context, layout archive.Layout) error {
	below := layout.Base
	if below != "" {
		below += "/"
	}
	uploads, err := f.client.OpenUploads(ctx, below)
	if err != nil {
		return err
	}
	inventory := archive.NewInventory(f.client, layout)
	for _, u := range uploads {
		planned, err := isPlanned(ctx, inventory, layout, u.Key)
		if err != nil {
			return err
		}
		if !planned {
			continue
		}
		if err := f.client.AbortUpload(ctx, u); err != nil {
			return err
		}
		f.logger.Info("aborted a multipart upload", "key", u.Key)
	}
	return nil
}

// isPlanned says that the object of a key is one of the transfer's.
func isPlanned(ctx context.Context, inventory *archive.Inventory, layout archive.Layout, key string) (bool, error) {
	var err error
	if prefix, number, ok := layout.LocateArchive(key); ok {
		_, err = inventory.Archive(ctx, prefix, number)
	} else if prefix, path, ok := layout.Locate(key); ok {
		_, _, err = inventory.Find(ctx, prefix, path)
	} else {
		return false, nil
	}
	if errors.Is(err, archive.ErrNotListed) {
		return false, nil
	}
	return err == nil, err
}

// writeIndex writes the index from the plan and the manifests that stand.
func (f finisher) writeIndex(ctx context.Context, plan archive.Plan) error {
	planned := map[string]archive.PlannedPrefix{}
	for _, p := range plan.Prefixes {
		planned[p.Name] = p
	}
	index := archive.Index{
		Transfer: string(f.site.Transfer.UID), Namespace: f.site.Transfer.Namespace, Name: f.site.Transfer.Name,
		Layout: plan.Layout, Written: time.Now().UTC(),
	}
	for i, name := range plan.Layout.Prefixes() {
		below := plan.Layout.ManifestPrefix(i)
		keys, err := f.client.List(ctx, below)
		if err != nil {
			return err
		}
		p := planned[name]
		if p.Archives == 0 && len(keys) == 0 {
			continue
		}
		index.Prefixes = append(index.Prefixes, archive.IndexedPrefix{
			Name: name, ManifestPrefix: below,
			Archives: p.Archives, Manifests: int64(len(keys)), Files: p.Files, Bytes: p.Bytes,
		})
	}
	body, err := index.Encode()
	if err != nil {
		return err
	}
	if err := f.client.Put(ctx, plan.Layout.IndexKey(), body); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}
