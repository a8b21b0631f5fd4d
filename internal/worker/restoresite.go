package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/upload"
)

// readMemory is what an archive that is being restored takes of memory, in bytes: a
// decoder with its window, and buffers.
const readMemory = 16 << 20

// RestoreSite is what a pod of an ArchiveRestore was given: the restore, and where things
// are mounted.
type RestoreSite struct {
	// Restore holds name, namespace, UID, location, run, patterns and target.
	Restore v1alpha1.ArchiveRestore
	// TargetDir is where the target volume is mounted.
	TargetDir string
	Access
	// MemoryLimit of the pod in bytes; 0 means that it is not known.
	MemoryLimit int64
	// ThawPoll is the pause between looks at objects that are being thawed; 0 for what suits
	// the tier.
	ThawPoll time.Duration
}

// ParseRestore reads the restore that the manager hands over in v1alpha1.RestoreConfigEnv.
func ParseRestore(text string) (v1alpha1.ArchiveRestore, error) {
	var r v1alpha1.ArchiveRestore
	if err := parseConfig(v1alpha1.RestoreConfigEnv, text, &r); err != nil {
		return r, err
	}
	if r.UID == "" || r.Spec.From.Location == nil || r.Spec.From.Run == nil {
		return r, fmt.Errorf("the restore in %s lacks its UID, location or run", v1alpha1.RestoreConfigEnv)
	}
	return r, nil
}

// reasoned is an error with a word of its own; see verdictOf.
type reasoned struct {
	error
	reason string
}

// Reason is a machine-readable word.
func (e reasoned) Reason() string { return e.reason }

// Unwrap lets errors.Is find the cause.
func (e reasoned) Unwrap() error { return e.error }

// RestorePlace is a restore site made ready: connected to the bucket, the run found, the
// target open.
type RestorePlace struct {
	client  *s3.Client
	gate    *upload.Gate
	meter   *upload.Meter
	route   *route
	session *restore.Session
	most    int
	thaw    *thaw // nil where nothing is thawed
	// roomy: nobody asks whether there is room for everything.
	roomy bool
}

// Open makes the site ready. It only reads from the bucket.
func (s RestoreSite) Open(ctx context.Context) (_ *RestorePlace, err error) {
	spec := s.Restore.Spec
	if err := archive.CheckPatterns(spec.From.Include, spec.From.Exclude); err != nil {
		return nil, reasoned{fmt.Errorf("select what to restore: %w", err), v1alpha1.ReasonPatternInvalid}
	}
	p := &RestorePlace{gate: upload.NewGate(), most: readsAtOnce(s.MemoryLimit), roomy: spec.To.RoomCheck == v1alpha1.RoomCheckSkip}
	p.meter = upload.NewMeter(p.gate)
	options := s.options(*spec.From.Location)
	options.Around = upload.Reading(p.gate, p.meter)
	if p.client, err = s3.NewClient(ctx, options); err != nil {
		return nil, err
	}
	var catalog *restore.Catalog
	if catalog, err = s.openRun(ctx, p.client); err == nil {
		p.route, err = newRoute(ctx, catalog, spec.From.Include)
	}
	if err == nil {
		p.session, err = restore.NewSession(s.restoreOptions(catalog), spec.To.Path)
		if err != nil {
			err = reasoned{err, v1alpha1.ReasonTargetUnavailable}
		}
	}
	if err == nil && spec.Thaw != nil {
		p.thaw, err = newThaw(p.session, *spec.Thaw, s.ThawPoll)
	}
	if err != nil {
		p.client.Close()
		return nil, err
	}
	return p, nil
}

// openRun finds the run to restore.
func (s RestoreSite) openRun(ctx context.Context, b restore.Bucket) (*restore.Catalog, error) {
	run, at := s.Restore.Spec.From.Run, time.Time{}
	if run.Before != nil {
		at = run.Before.Time
	}
	catalog, err := restore.OpenAt(ctx, b, strings.Trim(s.Restore.Spec.From.Location.Prefix, "/"), run.ID, at)
	if err != nil && !errors.As(err, new(*s3.Error)) {
		return nil, reasoned{err, v1alpha1.ReasonRunNotFound}
	}
	return catalog, err
}

// restoreOptions say how members are restored. Owner, set-ID bits and attributes of the
// kernel are asked for where all attributes are required: nothing is gained by them, since
// the pod has no privileges beyond its user.
func (s RestoreSite) restoreOptions(c *restore.Catalog) restore.Options {
	spec := s.Restore.Spec
	required := spec.Attributes == v1alpha1.AttributesRequired
	return restore.Options{
		Catalog: c, Selection: spec.From.Include, Exclude: spec.From.Exclude, Dir: s.TargetDir,
		Conflicts: restore.Conflicts(spec.Conflicts), Strict: required, SameOwner: required, Privileged: required,
	}
}

// readsAtOnce is how many archives can be restored at once within a memory limit in bytes, 0
// for none.
func readsAtOnce(limit int64) int {
	if limit <= 0 {
		return 64
	}
	return int(max(1, limit/100*bodyShare/readMemory))
}

// Close releases what Open has taken.
func (p *RestorePlace) Close() error {
	p.client.Close()
	return p.session.Close()
}

// Serve serves the lease of the worker's pod.
func (s RestoreSite) Serve(ctx context.Context, leases Leases, podUID types.UID, instance string, logger *slog.Logger) error {
	return Serve(ctx, leases, podUID, instance, logger, func(ctx context.Context) (Workplace, error) {
		place, err := s.Open(ctx)
		if err != nil {
			return nil, err
		}
		return place, nil
	})
}

// Engine returns an engine that works in this place.
func (p *RestorePlace) Engine(instance string, afterReport int64, restarted bool, logger *slog.Logger) *Engine {
	return NewEngine(EngineOptions{
		Gate: p.gate, Meter: p.meter, Destination: readOnly{p.client}, Restore: p.archive, MaxInFlight: p.most,
		Plan: p.plan, Waits: p.thaw.waits, Instance: instance, AfterReport: afterReport, Restarted: restarted, Logger: logger,
	})
}

// readOnly is a bucket that nothing is sent to, so that there is no checksum to agree upon.
type readOnly struct{ *s3.Client }

// ChecksumAlgorithm implements Destination.
func (readOnly) ChecksumAlgorithm() string { return "" }

// archive restores one archive. A target that is full blocks the worker, which goes on once
// there is room.
func (p *RestorePlace) archive(ctx context.Context, prefix string, number int64) ([]archive.Member, error) {
	ctx = upload.OnPrefix(ctx, prefix)
	m, err := p.route.manifest(ctx, prefix, number)
	if err != nil {
		return nil, unreadable(err)
	}
	members, err := p.session.Archive(ctx, m)
	if restore.Full(err) {
		return nil, &s3.Error{Class: s3.Configuration, Reason: v1alpha1.ReasonTargetFull, Op: "restore into the target", Key: prefix, Err: err}
	}
	return members, err
}

// unreadable gives the error of a manifest that is damaged a word of its own.
func unreadable(err error) error {
	if errors.As(err, new(*restore.ManifestError)) && !errors.As(err, new(*s3.Error)) {
		return reasoned{err, v1alpha1.ReasonRunUnreadable}
	}
	return err
}

// plan tells what the index of the run lists, which is final. Where objects have to be thawed
// it tells of archives as they become readable.
func (p *RestorePlace) plan(ctx context.Context, progress func(archive.Plan)) (archive.Plan, error) {
	if err := p.fits(ctx); err != nil {
		return archive.Plan{}, err
	}
	if err := p.thawed(ctx, progress); err != nil {
		return archive.Plan{}, err
	}
	plan := archive.Plan{Layout: p.route.catalog.Index.Layout, Complete: true}
	for _, x := range p.route.prefixes {
		if x.Archives == 0 {
			continue
		}
		count, err := p.count(ctx, x)
		if err != nil {
			return archive.Plan{}, unreadable(err)
		}
		plan.Prefixes = append(plan.Prefixes, archive.PlannedPrefix{
			Name: x.Name, Archives: x.Archives, Files: count.Files, Bytes: count.Bytes})
	}
	progress(plan)
	return plan, nil
}

// fits returns an error, which holds the restore, if there is no room for it.
func (p *RestorePlace) fits(ctx context.Context) error {
	if p.roomy {
		return nil
	}
	err := p.session.CheckRoom(ctx, p.route.manifests(ctx))
	if errors.As(err, new(*restore.RoomError)) {
		return reasoned{err, v1alpha1.ReasonTargetTooSmall}
	}
	return err
}

// count is what a prefix of the run lists. The index of an earlier release has no bytes, so
// that its manifests are read.
func (p *RestorePlace) count(ctx context.Context, x archive.IndexedPrefix) (archive.Count, error) {
	if x.Outcomes != nil {
		return x.Outcomes.Total(), nil
	}
	var mu sync.Mutex
	var sum archive.Count
	err := p.each(ctx, x, func(ctx context.Context, m archive.Manifest) error {
		mu.Lock()
		defer mu.Unlock()
		sum = sum.Plus(m.Tally().Total())
		return nil
	})
	return sum, err
}
