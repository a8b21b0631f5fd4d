package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/prices"
)

const (
	// maxListed bounds the failures that a report in the bucket lists, in bytes: tens of
	// thousands, which are in memory while it is made.
	maxListed = 8 << 20
	// storePatience is how long the end of a run waits for its report to be written.
	storePatience = 30 * time.Second

	// months and thawDays are what the costs of a report in the bucket are for.
	months   = 12
	thawDays = 7
)

// StoredAs are the terms of a run that ends, at list prices: its storage class and encryption.
func StoredAs(class string, kms, bucketKey bool) Terms {
	t := Terms{Class: class, Terms: prices.Terms{Months: months, ThawDays: thawDays, KMS: kms, BucketKey: bucketKey}}
	t.Table, _ = prices.Default() // Without a table there are no costs.
	return t
}

// Draft becomes the report of a run while the run is committed.
type Draft struct {
	// Sending is what the sender has measured; nil if that is not known.
	Sending *Sending
	// Fleet is what the cluster knows by then; nil where there is none.
	Fleet *Fleet
	tally *tally
	// listed are the failures as JSON, as far as they fit into most bytes; omitted counts the
	// others.
	listed  bytes.Buffer
	most    int
	omitted int64
	err     error
}

// NewDraft returns one that has seen nothing.
func NewDraft(terms Terms) *Draft {
	d := &Draft{tally: newTally(terms), most: maxListed}
	d.tally.failed = d.fail
	return d
}

// Add takes in a member; it is archive.CommitHooks.Each.
func (d *Draft) Add(m archive.PathMember) { d.tally.add(m) }

func (d *Draft) fail(f Failure) {
	text, err := json.Marshal(f)
	switch {
	case err != nil:
		d.err = err
	case d.omitted > 0 || d.listed.Len()+len(text) > d.most:
		d.omitted++
	default:
		if d.listed.Len() > 0 {
			d.listed.WriteByte(',')
		}
		d.listed.WriteString("\n    ")
		d.listed.Write(text)
	}
}

// Store writes the report of a run that is committed, whose index it gets. The run is whole
// without it.
func (d *Draft) Store(ctx context.Context, s archive.Store, i archive.Index) error {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	body, err := d.encode(i)
	if err == nil {
		err = s.Put(ctx, i.Layout.ReportKey(), body)
	}
	if err != nil {
		return fmt.Errorf("write the report of the run: %w", err)
	}
	return nil
}

// encode returns the report as JSON, with the failures at its end, one in a line.
func (d *Draft) encode(i archive.Index) ([]byte, error) {
	if d.err != nil {
		return nil, d.err
	}
	if !d.tally.whole(i) {
		return nil, errors.New("not all of the manifests were read")
	}
	r := d.tally.end(i)
	r.FailuresOmitted, r.Sending, r.Fleet = d.omitted, d.Sending, d.Fleet
	_ = r.price(d.tally.terms) // A class without a price has no costs.
	head, err := json.MarshalIndent(struct {
		Report
		Failures []Failure `json:"failures,omitempty"` // in place of the report's
	}{Report: r}, "", "  ")
	if err != nil {
		return nil, err
	}
	head = bytes.TrimSuffix(head, []byte("\n}"))
	open, end := ",\n  \"failures\": [", "]\n}\n"
	if d.listed.Len() > 0 {
		end = "\n  " + end
	}
	body := make([]byte, 0, len(head)+len(open)+d.listed.Len()+len(end))
	body = append(append(body, head...), open...)
	return append(append(body, d.listed.Bytes()...), end...), nil
}
