package worker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

const (
	// manifestsAtOnce is how many manifests the finish pod has in memory at a time.
	manifestsAtOnce = 16

	// ReasonCountsDiffer says that the manifests do not add up to what was planned or
	// reported.
	ReasonCountsDiffer = "CountsDiffer"
	// reasonAttemptsExhausted is the verdict on the members of an archive that has no
	// manifest although the transfer has ended.
	reasonAttemptsExhausted = "AttemptsExhausted"
	// reasonNotArchived is the same for a transfer that was stopped before its end.
	reasonNotArchived = "NotArchived"
)

// CountsDifferError says that files were lost count of. Trying again does not help.
type CountsDifferError struct{ text string }

func (e *CountsDifferError) Error() string { return ReasonCountsDiffer + ": " + e.text }

// Reason is ReasonCountsDiffer.
func (e *CountsDifferError) Reason() string { return ReasonCountsDiffer }

// CountsDiffer returns a *CountsDifferError.
func CountsDiffer(format string, args ...any) error {
	return &CountsDifferError{fmt.Sprintf(format, args...)}
}

// Expected is what the manager has counted from the reports of the workers.
type Expected struct {
	Planned, Done, Failed, Skipped archive.Count
}

// check compares what the bucket holds with what was reported. An attempt whose worker
// died after it had written the manifest stands without having been counted, so the
// bucket may hold more than was reported. It never holds less: whoever writes over a
// manifest keeps what it says to be done (see StoreManifests).
func (e Expected) check(found archive.Tally, partial bool) error {
	planned := found.Total()
	same := e.Planned == planned
	if partial {
		same = atLeast(planned, e.Planned)
	}
	switch {
	case !same:
		return CountsDiffer("%v files/bytes were planned by the reports of the workers, the inventory lists %v", e.Planned, planned)
	case !atLeast(found.Done, e.Done):
		return CountsDiffer("%v files/bytes were done by the reports of the workers, the manifests hold %v", e.Done, found.Done)
	case !atLeast(found.Skipped, e.Skipped):
		return CountsDiffer("%v files/bytes were skipped by the reports of the workers, the manifests hold %v", e.Skipped, found.Skipped)
	default:
		return nil
	}
}

func atLeast(c, least archive.Count) bool { return c.Files >= least.Files && c.Bytes >= least.Bytes }

// counted is what the manifests of one prefix hold.
type counted struct {
	tally archive.Tally
	// listed counts what the inventory lists.
	listed archive.Count
	// digests are those of the manifests, by number.
	digests []archive.Digest
	// missing are the archives without a manifest, all of whose members count as failed.
	missing []int64
}

// counter counts the manifests of a transfer against its inventory.
type counter struct {
	client    archive.Store
	layout    archive.Layout
	inventory *archive.Inventory
}

// count reads all manifests of a prefix, a bounded number of them at a time.
func (c counter) count(ctx context.Context, prefix string) (*counted, error) {
	found := &counted{}
	var mu sync.Mutex
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(manifestsAtOnce)
	for listed, err := range c.inventory.Listed(working, prefix) {
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		mu.Lock()
		found.listed = found.listed.Plus(listed.Count)
		found.digests = append(found.digests, archive.Digest{})
		mu.Unlock()
		group.Go(func() error {
			tally, digest, err := c.manifest(working, prefix, listed)
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, s3.ErrNotFound) {
				found.missing = append(found.missing, listed.Number)
				return nil
			}
			found.tally = found.tally.Plus(tally)
			found.digests[listed.Number] = digest
			return err
		})
	}
	return found, group.Wait()
}

// manifest counts the members of one archive, which must be those that were planned.
func (c counter) manifest(ctx context.Context, prefix string, listed archive.Listed) (archive.Tally, archive.Digest, error) {
	key := c.layout.ManifestKey(c.layout.Index(prefix), listed.Number)
	data, err := c.client.Get(ctx, key)
	if err != nil {
		return archive.Tally{}, archive.Digest{}, err
	}
	head, tally, err := archive.TallyManifest(data)
	switch {
	case err != nil:
		err = CountsDiffer("the manifest %s cannot be counted: %v", key, err)
	case head.Transfer != c.layout.UID || head.Prefix != prefix || head.Number != listed.Number:
		err = CountsDiffer("the manifest %s is that of archive %d of prefix %q of transfer %s", key, head.Number, head.Prefix, head.Transfer)
	case tally.Total() != listed.Count:
		err = CountsDiffer("the manifest %s holds %v files/bytes, the inventory lists %v", key, tally.Total(), listed.Count)
	}
	return tally, sha256.Sum256(data), err
}

// fill writes manifests for the archives of a prefix that have none, so that each has one
// and the rest can be restored and verified.
func (c counter) fill(ctx context.Context, prefix string, found *counted, reason, message string) error {
	var mu sync.Mutex
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(manifestsAtOnce)
	for _, number := range found.missing {
		group.Go(func() error {
			content, err := c.inventory.Archive(working, prefix, number)
			if err != nil {
				return err
			}
			m := archive.Lost(c.layout, content, reason, message)
			body, err := m.Encode()
			if err != nil {
				return err
			}
			if err := c.client.Put(working, c.layout.ManifestKey(c.layout.Index(prefix), number), body); err != nil {
				return fmt.Errorf("write manifest: %w", err)
			}
			mu.Lock()
			defer mu.Unlock()
			found.tally = found.tally.Plus(m.Tally())
			found.digests[number] = sha256.Sum256(body)
			return nil
		})
	}
	return group.Wait()
}
