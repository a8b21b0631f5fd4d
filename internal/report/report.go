// Package report summarizes a run that has ended, from what is in the bucket and what the cluster knows of it.
package report

import (
	"context"
	"errors"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/prices"
	"cargoship.dev/operator/internal/restore"
)

// Version is that of the schema docs/schemas/report.v1.json.
const Version = 1

// Report is the outcome of a run, with its costs.
type Report struct {
	Version int `json:"version"`
	// Run is the UID of the run, Name and Namespace are those of its transfer or source.
	Run       string    `json:"run"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name,omitempty"`
	Written   time.Time `json:"written"`
	// Partial: the run was stopped before all of the source was planned or sent.
	Partial bool   `json:"partial"`
	Packing string `json:"packing"`
	// Planned counts files and bytes that the source had, and Done, Failed and Skipped their
	// outcomes. Of those done, Kept were there already, unchanged.
	Planned archive.Count `json:"planned"`
	Done    archive.Count `json:"done"`
	Failed  archive.Count `json:"failed"`
	Skipped archive.Count `json:"skipped"`
	Kept    archive.Count `json:"kept"`
	// Stored is what holds what is done, objects of earlier runs included.
	Stored   Stored   `json:"stored"`
	Prefixes []Prefix `json:"prefixes"`
	// Reasons counts files that failed or were skipped by reason, Failures lists all that failed:
	// of a report in the bucket, all but FailuresOmitted.
	Reasons         []Reason  `json:"reasons"`
	Failures        []Failure `json:"failures"`
	FailuresOmitted int64     `json:"failuresOmitted,omitempty"`
	// Unreadable are manifests that can't be read, whose files are in no list here.
	Unreadable []string `json:"unreadable,omitempty"`
	Costs      *Costs   `json:"costs,omitempty"`
	// Billed is what the costs depend on beside prices.
	Billed *Billed `json:"billed,omitempty"`
	Fleet  *Fleet  `json:"fleet,omitempty"`
	// Sending is what was measured of the requests: by cargoship copy, or by the workers as far as
	// the manager saw.
	Sending *Sending `json:"sending,omitempty"`
	// From says what the report was made from.
	From string `json:"-"`
}

// Stored counts objects and their bytes.
type Stored struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// Prefix is the outcome of a run on one prefix.
type Prefix struct {
	Name     string        `json:"name"`
	Archives int64         `json:"archives"`
	Done     archive.Count `json:"done"`
	Failed   archive.Count `json:"failed"`
	Skipped  archive.Count `json:"skipped"`
}

// Reason is why files failed or were skipped.
type Reason struct {
	Outcome archive.Outcome `json:"outcome"`
	Reason  string          `json:"reason"`
	Files   int64           `json:"files"`
}

// Failure is a file that failed.
type Failure struct {
	Path string `json:"path"`
	// PathBase64 holds the bytes of a path that is not UTF-8.
	PathBase64 []byte `json:"pathBase64,omitempty"`
	Prefix     string `json:"prefix"`
	Archive    int64  `json:"archive"`
	Size       int64  `json:"size"`
	Reason     string `json:"reason"`
	Message    string `json:"message,omitempty"`
}

// Costs are those of what the run has stored, at list prices.
type Costs struct {
	Currency string `json:"currency"`
	// Date is of when the prices are.
	Date   string  `json:"date"`
	Months float64 `json:"months"`
	prices.Quote
}

// Billed is what of a run is billed, beside the bytes that it stores.
type Billed struct {
	// Class is the storage class that was asked for; empty for the bucket's default.
	Class     string `json:"class,omitempty"`
	KMS       bool   `json:"kms"`
	BucketKey bool   `json:"bucketKey"`
	// Requests wrote the objects, Bookkeeping counts manifests.
	Requests    int64 `json:"requests"`
	Bookkeeping int64 `json:"bookkeeping"`
	// Lacking is by how many bytes the objects are smaller than a size that some class bills at
	// least, by that size.
	Lacking map[int64]int64 `json:"lacking,omitempty"`
}

// Fleet is what the cluster knows of the run.
type Fleet struct {
	Started        time.Time `json:"started,omitzero"`
	Ended          time.Time `json:"ended,omitzero"`
	Seconds        int64     `json:"seconds"`
	BytesPerSecond int64     `json:"bytesPerSecond"`
	Workers        int64     `json:"workers"`
	// WorkersFailed counts pods that failed and were replaced.
	WorkersFailed int64 `json:"workersFailed"`
	// Outcome is the condition that ended the run, with its reason and message.
	Outcome string `json:"outcome,omitempty"`
	Message string `json:"message,omitempty"`
}

// Terms are what the costs are for.
type Terms struct {
	prices.Terms
	Table prices.Table
	// Class is that of the objects; empty for the one that the run was stored in, if that is
	// known, and otherwise the bucket's default.
	Class string
	// Stored: the encryption is that of the run, if it is known, not the one of these terms.
	Stored bool
}

// Of reads all manifests of a run. An error is of the bucket, or that the class has no price:
// manifests that can't be read are listed.
func Of(ctx context.Context, c *restore.Catalog, terms Terms) (Report, error) {
	t := newTally(terms)
	var failures []Failure
	t.failed = func(f Failure) { failures = append(failures, f) }
	var unreadable []string
	for m, err := range c.Manifests(ctx) {
		switch {
		case errors.As(err, new(*restore.ManifestError)):
			unreadable = append(unreadable, err.Error())
		case err != nil:
			return Report{}, err
		default:
			for _, f := range m.Members {
				t.add(archive.PathMember{Prefix: m.Prefix, Number: m.Number, Object: m.Object, Member: f})
			}
		}
	}
	r := t.end(c.Index)
	r.From, r.Failures, r.Unreadable = "all manifests of the run", append(r.Failures, failures...), unreadable
	err := r.price(terms)
	return r, err
}

// headOf is what the index says of a run.
func headOf(i archive.Index) Report {
	r := Report{
		Version: Version, Run: i.Transfer, Namespace: i.Namespace, Name: i.Name, Written: i.Written, Partial: i.Partial,
		Packing: "objects", Reasons: []Reason{}, Failures: []Failure{}, Prefixes: []Prefix{},
	}
	if i.Layout.Tar != nil {
		r.Packing = "tar"
	}
	return r
}
