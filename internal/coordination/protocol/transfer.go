package protocol

import (
	"errors"
	"fmt"
)

// TransferID names a transfer within a domain.
type TransferID string

// WorkerID names a worker within a domain.
type WorkerID string

// ArchiveID names an archive: its place in the inventory of one prefix of one
// transfer. Numbers count from 0.
type ArchiveID struct {
	Transfer TransferID
	Prefix   string
	Number   int64
}

// Transfer is the claim of one transfer on a domain.
type Transfer struct {
	ID TransferID
	// Tenant owns the transfer: the domain is divided over tenants before it is divided
	// over the transfers of each, and the reports of a tenant's workers count for no more
	// than its share.
	Tenant string
	// Weight is the transfer's share relative to others of the tenant, and the largest of
	// its transfers that hold leases the tenant's relative to others; at least 1.
	Weight int
	// Share is what a policy gives the tenant.
	Share  TenantShare
	Config Config
	// Workers is how many it is to have, 0 where that is not known.
	Workers int
	// Suspended transfers hold no windows and are assigned nothing.
	Suspended bool
	// Recorded is what an earlier leader has recorded, by prefix. It is used when the
	// transfer is put for the first time; later the coordinator knows better.
	Recorded map[string]Recorded
}

// TenantShare is what a policy gives a tenant of a domain; all of its transfers tell the same.
type TenantShare struct {
	// Weight is its share relative to other tenants, whatever its transfers weigh; 0 for theirs.
	Weight int
	// Most is the greatest part of the domain that it may have, from 0 to 1; 0 for all of it.
	Most float64
}

// Validate returns why PutTransfer would reject a transfer.
func (t Transfer) Validate() error {
	if t.ID == "" {
		return errors.New("its ID is missing")
	}
	if t.Weight < 1 {
		return fmt.Errorf("weight is %d, must be at least 1", t.Weight)
	}
	if t.Share.Weight < 0 || !(t.Share.Most >= 0 && t.Share.Most <= 1) {
		return fmt.Errorf("the share of its tenant has weight %d and is %v at most: must be 0 or more, and 0 to 1", t.Share.Weight, t.Share.Most)
	}
	return errors.Join(t.Config.Validate(), t.validateRecorded())
}

// validateRecorded returns an error for a record that no leader can have written.
func (t Transfer) validateRecorded() error {
	if len(t.Recorded) > MaxPrefixes {
		return fmt.Errorf("%d prefixes are recorded, at most %d can be", len(t.Recorded), MaxPrefixes)
	}
	var total Planned
	for prefix, r := range t.Recorded {
		if prefix == "" || len(prefix) > MaxPrefixLength {
			return fmt.Errorf("the name of a recorded prefix has %d bytes, must have 1 to %d", len(prefix), MaxPrefixLength)
		}
		if err := r.validate(); err != nil {
			return fmt.Errorf("recorded prefix %q: %w", prefix, err)
		}
		total.Add(r.Planned)
	}
	return total.Validate()
}

// Recorded is what is recorded of a prefix, from which the next leader continues counting.
type Recorded struct {
	Planned Planned
	// Finished archives are not assigned or counted again: Done, Failed and Skipped sum
	// the outcomes of their files, except those of the Exhausted ones.
	Finished              Ranges
	Done, Failed, Skipped Tally
	// Exhausted counts the finished archives that used up their attempts.
	Exhausted int64
}

func (r Recorded) validate() error {
	if err := r.Planned.Validate(); err != nil {
		return err
	}
	var ended Tally
	for _, counted := range []Tally{r.Done, r.Failed, r.Skipped} {
		if counted.Files < 0 || counted.Bytes < 0 {
			return errors.New("a count is negative")
		}
		ended = ended.Plus(counted)
	}
	switch {
	case r.Finished.End() > r.Planned.Archives:
		return fmt.Errorf("archive %d has ended, of %d planned", r.Finished.End()-1, r.Planned.Archives)
	case r.Exhausted < 0 || r.Exhausted > r.Finished.Count():
		return fmt.Errorf("%d archives used up their attempts, of %d that ended", r.Exhausted, r.Finished.Count())
	case ended.Files > r.Planned.Files || ended.Bytes > r.Planned.Bytes:
		return fmt.Errorf("%d files of %d bytes have ended, %d of %d are planned",
			ended.Files, ended.Bytes, r.Planned.Files, r.Planned.Bytes)
	}
	return nil
}

// Planned is what the inventory of a prefix lists: archives, numbered from 0, and
// the files in them with their bytes.
type Planned struct{ Archives, Files, Bytes int64 }

// Add adds another plan; a sum that no int64 holds is the largest that does.
func (p *Planned) Add(q Planned) {
	p.Archives = SaturatingAdd(p.Archives, q.Archives)
	p.Files = SaturatingAdd(p.Files, q.Files)
	p.Bytes = SaturatingAdd(p.Bytes, q.Bytes)
}

// Validate returns an error for a plan that is impossible or too large: every archive holds
// a file.
func (p Planned) Validate() error {
	switch {
	case p.Archives < 0 || p.Files < 0 || p.Bytes < 0:
		return errors.New("a count of the plan is negative")
	case p.Files < p.Archives || p.Archives == 0 && p.Files+p.Bytes > 0:
		return fmt.Errorf("the plan has %d files in %d archives", p.Files, p.Archives)
	case p.Archives > MaxPlannedArchives || p.Files > MaxPlannedFiles || p.Bytes > MaxPlannedBytes:
		return fmt.Errorf("the plan has %d archives, %d files and %d bytes, a transfer can have %d, %d and %d; divide the source",
			p.Archives, p.Files, p.Bytes, int64(MaxPlannedArchives), int64(MaxPlannedFiles), int64(MaxPlannedBytes))
	}
	return nil
}

// The largest plan of a transfer. Sums of such stay far from the bounds of their types,
// a float64 holds each of them exactly, and a number of an archive has eight digits.
const (
	MaxPlannedArchives = 100_000_000
	MaxPlannedFiles    = 100_000_000_000
	MaxPlannedBytes    = 1 << 53
	// MaxPlannedPrefixes is as many as a status lists.
	MaxPlannedPrefixes = 64
)

// PlannedPrefix is what the inventory of one prefix lists.
type PlannedPrefix struct {
	Prefix string
	Planned
}

// PlanProgress is the progress of a worker with the planning duty.
type PlanProgress struct {
	// Complete: the whole source is listed. The plan never changes afterwards.
	Complete bool
	// Prefixes lists what has been planned. A prefix that is not named is unchanged.
	Prefixes []PlannedPrefix
}

// Upload is an archive to be sent.
type Upload struct {
	Archive ArchiveID
	// Files in the archive, and their bytes.
	Files, Bytes int64
}
