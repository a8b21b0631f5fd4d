package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/prices"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// maxStored bounds a report that is read: its failures, and the rest.
const maxStored = 2 * maxListed

// ErrNotStored says that a run has no report in the bucket.
var ErrNotStored = errors.New("the run has no report in the bucket")

// Read reads the report that was written when the run ended, and prices it anew. It is
// ErrNotStored if there is none. The index vouches for its counts, and for nothing else.
func Read(ctx context.Context, c *restore.Catalog, terms Terms) (Report, error) {
	key := c.Index.Layout.ReportKey()
	data, err := c.Report(ctx)
	if errors.Is(err, s3.ErrNotFound) {
		return Report{}, ErrNotStored
	}
	if err != nil {
		return Report{}, fmt.Errorf("read the report of the run: %w", err)
	}
	r, err := decode(data, c.Index)
	if err != nil {
		return Report{}, fmt.Errorf("the report %s is not used: %w", key, err)
	}
	if terms.Stored {
		terms.KMS, terms.BucketKey = r.Billed.KMS, r.Billed.BucketKey
	}
	load := prices.Load{Objects: r.Stored.Objects, Lacking: r.Billed.Lacking}
	if !terms.Table.Covers(load) {
		return Report{}, fmt.Errorf("the report %s is not used: it can't be priced by this table, which bills objects of other sizes", key)
	}
	r.From = "the report that was written when the run ended"
	err = r.price(terms)
	return r, err
}

// decode reads a report, which must be that of the run with the index.
func decode(data []byte, i archive.Index) (Report, error) {
	var r Report
	if len(data) > maxStored {
		return r, fmt.Errorf("%d bytes exceed the maximum that this program writes", len(data))
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("unexpected JSON: %w", err)
	}
	switch {
	case r.Version != Version:
		return r, fmt.Errorf("its version %d is unknown", r.Version)
	case r.Run != i.Transfer || !r.Written.Equal(i.Written):
		return r, errors.New("it is of another run, or of an earlier end of this one")
	case r.FailuresOmitted > 0:
		return r, fmt.Errorf("it lists all failures but %d", r.FailuresOmitted)
	case r.Billed == nil || min(r.Stored.Objects, r.Stored.Bytes, r.Billed.Requests, r.Billed.Bookkeeping) < 0:
		return r, errors.New("it does not say what is billed")
	case r.Sending.negative(), r.Fleet != nil && min(r.Fleet.Seconds, r.Fleet.BytesPerSecond, r.Fleet.Workers, r.Fleet.WorkersFailed) < 0:
		return r, errors.New("what it says of times and requests cannot be")
	}
	head := headOf(i)
	for _, p := range i.Prefixes {
		if p.Outcomes == nil {
			return r, errors.New("the index does not count outcomes")
		}
		head.count(p, Prefix{Name: p.Name, Archives: p.Archives, Done: p.Outcomes.Done, Failed: p.Outcomes.Failed, Skipped: p.Outcomes.Skipped})
	}
	if !r.agrees(head) {
		return r, errors.New("it does not count what the index does")
	}
	head.Kept, head.Stored, head.Billed, head.Sending, head.Fleet = r.Kept, r.Stored, r.Billed, r.Sending, r.Fleet
	head.Reasons, head.Failures = append(head.Reasons, r.Reasons...), append(head.Failures, r.Failures...)
	return head, nil
}

// agrees tells whether a report counts as the index does.
func (r *Report) agrees(head Report) bool {
	files := map[archive.Outcome]int64{}
	for _, x := range r.Reasons {
		files[x.Outcome] += x.Files
	}
	return r.Planned == head.Planned && r.Done == head.Done && r.Failed == head.Failed && r.Skipped == head.Skipped &&
		int64(len(r.Failures)) == head.Failed.Files && files[archive.Failed] == head.Failed.Files && files[archive.Skipped] == head.Skipped.Files
}
