package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Store keeps the bookkeeping objects; *transfer.Client is one.
type Store interface {
	Put(ctx context.Context, key string, body []byte) error
	Get(ctx context.Context, key string) ([]byte, error)
	// List returns the keys that begin with prefix, in any order.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Plan is what is known of a transfer's inventory.
type Plan struct {
	Layout Layout `json:"layout"`
	// Source tells sources apart and Begun is when the run began, where it has no
	// ArchiveTransfer that would know.
	Source string    `json:"source,omitempty"`
	Begun  time.Time `json:"begun,omitzero"`
	// Lock names the lock that the process of the run holds as long as it lives, among those
	// of all machines; empty if there is none that can be told from others.
	Lock string `json:"lock,omitempty"`
	// Complete: the whole source is listed.
	Complete bool `json:"complete"`
	// Prefixes tell what is listed, for the prefixes that have archives. While
	// the plan isn't complete, only a running Planner knows them.
	Prefixes []PlannedPrefix `json:"prefixes,omitempty"`
}

// PlannedPrefix tells what is listed of one prefix.
type PlannedPrefix struct {
	Name string `json:"name"`
	// Archives are numbered from 0.
	Archives int64 `json:"archives"`
	// Files counts their entries, skipped and failed ones too; Bytes sums what is to be sent.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

type wirePlan struct {
	Version int `json:"version"`
	Plan
}

// Encode returns the plan as JSON.
func (p Plan) Encode() ([]byte, error) {
	raw, err := json.MarshalIndent(wirePlan{FormatVersion, p}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	return append(raw, '\n'), nil
}

// Write puts the plan into the bucket.
func (p Plan) Write(ctx context.Context, s Store) error {
	data, err := p.Encode()
	if err != nil {
		return err
	}
	if err := s.Put(ctx, p.Layout.PlanKey(), data); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

// DecodePlan reads what Encode has written. The layout of the plan is resolved.
func DecodePlan(data []byte) (Plan, error) {
	var w wirePlan
	if err := decodeVersioned(data, &w, &w.Version); err != nil {
		return Plan{}, fmt.Errorf("decode plan: %w", err)
	}
	if err := w.Layout.Validate(); err != nil {
		return Plan{}, fmt.Errorf("decode plan: %w", err)
	}
	if !w.Layout.Resolved() {
		return Plan{}, fmt.Errorf("decode plan: it names no prefixes")
	}
	return w.Plan, nil
}

// ReadPlan reads the plan of the transfer whose layout, resolved or not, is
// given; only its Base and UID matter. It is false when there is no plan yet.
func ReadPlan(ctx context.Context, s Store, l Layout) (Plan, bool, error) {
	// Asking for the key itself keeps this package free of the store's errors.
	keys, err := s.List(ctx, l.PlanKey())
	if err != nil {
		return Plan{}, false, fmt.Errorf("look for the plan: %w", err)
	}
	if !slices.Contains(keys, l.PlanKey()) {
		return Plan{}, false, nil
	}
	data, err := s.Get(ctx, l.PlanKey())
	if err != nil {
		return Plan{}, false, fmt.Errorf("read the plan: %w", err)
	}
	p, err := DecodePlan(data)
	return p, err == nil, err
}
