package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/upload"
)

// bodyShare is the part of the memory limit, in percent, that request bodies may
// take; inventory, manifests and the runtime need the rest.
const bodyShare = 60

// errNoPlan: archives can't be told apart before the planning worker has written its plan.
var errNoPlan = errors.New("the transfer has no plan yet")

// Site is what a worker pod was given: the transfer, and where things are mounted.
type Site struct {
	// Transfer holds name, namespace, UID, source, destination and packing, and once it runs when
	// it began, by how many workers it is and what they have sent.
	Transfer v1alpha1.ArchiveTransfer
	// SourceDir is where the source volume is mounted.
	SourceDir string
	Access
	// MemoryLimit of the pod in bytes; 0 means that it is not known.
	MemoryLimit int64
}

// ParseTransfer reads the transfer that the manager hands over in
// v1alpha1.WorkerConfigEnv.
func ParseTransfer(text string) (v1alpha1.ArchiveTransfer, error) {
	var t v1alpha1.ArchiveTransfer
	if err := parseConfig(v1alpha1.WorkerConfigEnv, text, &t); err != nil {
		return t, err
	}
	if t.UID == "" || t.Spec.Destination.Bucket == "" {
		return t, fmt.Errorf("the transfer in %s lacks its UID or bucket", v1alpha1.WorkerConfigEnv)
	}
	return t, nil
}

// parseConfig reads what the manager hands over in an environment variable.
func parseConfig(name, text string, into any) error {
	if text == "" {
		return fmt.Errorf("%s is not set: the manager sets it in the pods it creates", name)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("read the configuration in %s: %w", name, err)
	}
	return nil
}

// Access is how a pod gets at the bucket: where what its location refers to is mounted.
type Access struct {
	// CredentialsDir and CAFile are used if the location asks for them.
	CredentialsDir, CAFile string
}

// options returns those of a client for a location.
func (a Access) options(l v1alpha1.Location) s3.Options {
	o := s3.Options{
		Bucket: l.Bucket, Region: l.Region, Endpoint: l.Endpoint,
		PathStyle: l.AddressingStyle == v1alpha1.AddressingPath,
	}
	if l.Credentials.SecretName != "" {
		o.CredentialsDir = a.CredentialsDir
	}
	if l.CABundle != nil {
		o.CAFile = a.CAFile
	}
	o.Asked.RequesterPays, o.Asked.ExpectedBucketOwner = l.RequestPayer == "Requester", l.ExpectedBucketOwner
	return o
}

// client returns a client for the destination, whose traffic the gate bounds as far as a policy
// does; nil for no bound.
func (s Site) client(ctx context.Context, gate *upload.Gate) (*s3.Client, error) {
	d := s.Transfer.Spec.Destination
	o := s.options(d.Location)
	if gate != nil {
		gate.Bound(&o)
	}
	o.StorageClass = d.StorageClass
	o.UnsignedPayload = d.PayloadSigning == v1alpha1.PayloadSigningNever
	if sse := d.ServerSideEncryption; sse != nil {
		o.SSE, o.KMSKeyID, o.Asked.BucketKey = sse.Algorithm, sse.KMSKeyID, sse.BucketKey == "Enabled"
	}
	o.Asked.ACL = d.ACL
	if l := d.ObjectLock; l != nil {
		o.Asked.ObjectLock = s3.ObjectLock{Mode: l.Mode, LegalHold: l.LegalHold == "On"}
		if l.RetainUntil != nil {
			o.Asked.ObjectLock.Until = l.RetainUntil.Time
		}
	}
	for _, tag := range d.ObjectTags {
		if o.Tags == nil {
			o.Tags = map[string]string{}
		}
		o.Tags[tag.Key] = tag.Value
	}
	return s3.NewClient(ctx, o)
}

// layout returns the layout that the spec asks for; the plan resolves it.
func (s Site) layout() archive.Layout {
	d := s.Transfer.Spec.Destination
	l := archive.Layout{
		Base:    strings.Trim(d.Prefix, "/"),
		Pattern: archive.Pattern(d.Prefixes.Pattern),
		Names:   d.Prefixes.Names,
		UID:     string(s.Transfer.UID),
	}
	if s.Transfer.Spec.Packing.Format == v1alpha1.PackingTar {
		l.Tar, l.Run = tarOf(s.Transfer), l.UID
	}
	switch {
	case l.Pattern != "":
	case l.Tar != nil:
		l.Pattern = archive.Hash
	default:
		l.Pattern = archive.Mirror
	}
	if d.Prefixes.Count != nil {
		l.Count = int(*d.Prefixes.Count)
	}
	return l
}

// tarOf returns how the transfer packs archives, which bear its name. A transfer
// that no API server has filled the defaults of gets the same ones here.
func tarOf(t v1alpha1.ArchiveTransfer) *archive.Tar {
	tar := &archive.Tar{
		Name: t.Name, TargetSize: archive.DefaultTargetSize, LargeFile: archive.DefaultTarLargeFile,
		Compression: archive.Zstd, Level: archive.DefaultLevel, Digest: archive.DigestCRC64NVME,
	}
	spec := t.Spec.Packing.Tar
	if spec == nil {
		return tar
	}
	if spec.TargetSize != nil {
		tar.TargetSize = spec.TargetSize.Value()
	}
	if spec.LargeFileThreshold != nil {
		tar.LargeFile = spec.LargeFileThreshold.Value()
	}
	if spec.Digest == v1alpha1.DigestSHA256 {
		tar.Digest = archive.DigestSHA256
	}
	switch {
	case spec.Compression == v1alpha1.CompressionNone:
		tar.Compression, tar.Level = archive.Plain, 0
	case spec.Level > 0:
		tar.Level = int(spec.Level)
	}
	return tar
}

// Place is a site made ready: connected to the destination, the source open.
type Place struct {
	site      Site
	client    *s3.Client
	gate      *upload.Gate
	source    *archive.Source
	layout    archive.Layout
	inventory inventory
}

// Open makes the site ready. It sends nothing to the destination.
func (s Site) Open(ctx context.Context) (*Place, error) {
	spec := s.Transfer.Spec.Source
	source, err := archive.OpenSource(s.SourceDir, spec.Path)
	if err != nil {
		return nil, err
	}
	if err := source.Restrict(spec.Include, spec.Exclude); err != nil {
		return nil, errors.Join(err, source.Close())
	}
	gate := upload.NewGate()
	client, err := s.client(ctx, gate)
	if err != nil {
		return nil, errors.Join(err, source.Close())
	}
	p := &Place{site: s, client: client, gate: gate, source: source, layout: s.layout()}
	p.inventory = inventory{store: client, layout: p.layout}
	return p, nil
}

// Close releases what Open has taken.
func (p *Place) Close() error {
	p.client.Close()
	return p.source.Close()
}

// Workplace is a site made ready for work.
type Workplace interface {
	Engine(instance string, afterReport int64, restarted bool, logger *slog.Logger) *Engine
	Close() error
}

// Serve serves the lease of the worker's pod; see Agent.Run. The place is made ready by open
// once there is a lease.
func Serve(ctx context.Context, leases Leases, podUID types.UID, instance string, logger *slog.Logger,
	open func(context.Context) (Workplace, error),
) error {
	var place Workplace
	err := NewAgent(AgentOptions{
		Leases: leases, PodUID: podUID, Instance: instance, Logger: logger,
		NewEngine: func(ctx context.Context, afterReport int64, restarted bool) (Sender, error) {
			opened, err := open(ctx)
			if err != nil {
				return nil, err
			}
			place = opened
			return place.Engine(instance, afterReport, restarted, logger), nil
		},
	}).Run(ctx)
	if place != nil {
		err = errors.Join(err, place.Close())
	}
	return err
}

// Serve serves the lease of the worker's pod.
func (s Site) Serve(ctx context.Context, leases Leases, podUID types.UID, instance string, logger *slog.Logger) error {
	return Serve(ctx, leases, podUID, instance, logger, func(ctx context.Context) (Workplace, error) {
		place, err := s.Open(ctx)
		if err != nil {
			return nil, err
		}
		return place, nil
	})
}

// Engine returns an engine that works in this place.
func (p *Place) Engine(instance string, afterReport int64, restarted bool, logger *slog.Logger) *Engine {
	gate := p.gate
	meter := upload.NewMeter(gate)
	spec := p.site.Transfer.Spec.Source
	planner := &archive.Planner{
		Source: p.source, Store: p.client, Layout: p.layout,
		Include: spec.Include, Exclude: spec.Exclude,
	}
	return NewEngine(EngineOptions{
		Uploader: upload.NewUploader(upload.UploaderOptions{
			Client: p.client, Gate: gate, Meter: meter,
			MemoryLimit: p.site.MemoryLimit / 100 * bodyShare, Taken: BoundWorker(p.site.MemoryLimit),
			KeepOpen: true, // The next attempt resumes it, or the finish pod aborts it.
		}),
		Gate: gate, Meter: meter, Destination: p.client, Source: p.source,
		Sync: upload.Sync(p.site.Transfer.Spec.Sync), Earlier: p.earlier(logger),
		Layout: p.inventory.Layout, Fetch: p.inventory.Archive, Manifests: StoreManifests(p.client),
		Plan:     p.withinBudget(planner.Run),
		Instance: instance, AfterReport: afterReport, Restarted: restarted, Logger: logger,
	})
}

// earlier finds what the last run below the same prefix has left, if that is asked for; see
// EngineOptions.
func (p *Place) earlier(logger *slog.Logger) Earlier {
	sync := p.site.Transfer.Spec.Sync
	if p.layout.Tar == nil || sync == "" || sync == v1alpha1.SyncNone {
		return nil
	}
	return &EarlierRuns{
		Bucket: p.client, Layout: p.inventory.Layout, Synced: true,
		Warn: func(text string) { logger.Warn(text) },
	}
}

// inventory reads the plan once it is there, and the inventory with its layout.
type inventory struct {
	store  archive.Store
	layout archive.Layout

	mu     sync.Mutex
	opened *archive.Inventory // nil until there is a plan
}

func (i *inventory) open(ctx context.Context) (*archive.Inventory, archive.Layout, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.opened == nil {
		plan, found, err := archive.ReadPlan(ctx, i.store, i.layout)
		if err != nil {
			return nil, i.layout, err
		}
		if !found {
			return nil, i.layout, errNoPlan
		}
		i.layout = plan.Layout
		i.opened = archive.NewInventory(i.store, i.layout)
	}
	return i.opened, i.layout, nil
}

// Layout returns the resolved layout.
func (i *inventory) Layout(ctx context.Context) (archive.Layout, error) {
	_, layout, err := i.open(ctx)
	return layout, err
}

// Archive returns one archive.
func (i *inventory) Archive(ctx context.Context, prefix string, number int64) (archive.Archive, error) {
	opened, _, err := i.open(ctx)
	if err != nil {
		return archive.Archive{}, err
	}
	return opened.Archive(ctx, prefix, number)
}
