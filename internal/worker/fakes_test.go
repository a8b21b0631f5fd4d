package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/upload"
)

const (
	testUpload   = 100 * time.Millisecond
	testLease    = 10 * time.Second
	testInterval = time.Second
)

// destination is a made-up bucket behind a real gate: every file takes one
// request of testUpload, and files answers for it.
type destination struct {
	gate *upload.Gate
	// answer decides what becomes of a file; nil for success.
	answer func(key string) error
	// linger is how long a request goes on after it was canceled.
	linger   time.Duration
	probe    func() error
	open     []s3.OpenUpload
	unlisted error // what listing them meets

	updates  sync.Mutex // held while one is under way
	mu       sync.Mutex
	stats    map[string]*upload.PrefixStats
	inFlight int
	most     int
	// flying counts requests in flight by key, lingering those that were canceled.
	flying    map[string]int
	lingering int
	began     []string
	left      []s3.OpenUpload // that were to be resumed
	again     int             // files that may stand already
	probes    int
	objects   map[string][]byte
	etag      map[string]string // of an object; "etag" if it is missing
}

func (d *destination) MaxInFlight() int { return 64 }

func (d *destination) Upload(ctx context.Context, f upload.File) (upload.Receipt, error) {
	release, _, err := d.gate.Acquire(ctx, f.Prefix)
	if err != nil {
		return upload.Receipt{}, &s3.Error{Class: s3.Transient, Reason: s3.ReasonCanceled, Op: "put object", Key: f.Key, Err: err}
	}
	defer release()
	s := d.begin(f)
	defer d.end(f)
	if s3.Sleep(ctx, testUpload) != nil {
		d.lag()
		err = ctx.Err()
	} else if d.answer != nil {
		err = d.answer(f.Key)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		s.Failed++
		return upload.Receipt{}, err
	}
	s.Accepted++
	s.Bytes += f.Size
	return upload.Receipt{ETag: "etag", Checksum: "sum", ChecksumAlgorithm: s3.ChecksumCRC64NVME, Bytes: f.Size}, nil
}

// UploadStream makes all parts and sends them as one file.
func (d *destination) UploadStream(ctx context.Context, s upload.Stream) (upload.Receipt, error) {
	defer func() { _ = s.Parts.Close() }()
	var size int64
	buf := make([]byte, 8<<20)
	for n, last := 0, false; !last; n++ {
		var length int
		var err error
		if length, last, err = s.Parts.Fill(ctx, n, buf); err != nil {
			return upload.Receipt{}, err
		}
		size += int64(length)
	}
	return d.Upload(ctx, upload.File{Prefix: s.Prefix, Key: s.Key, Size: size, ResumableUploads: s.ResumableUploads})
}

func (d *destination) begin(f upload.File) *upload.PrefixStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight++
	d.flying[f.Key]++
	d.most = max(d.most, d.inFlight)
	d.began = append(d.began, f.Key)
	d.left = append(d.left, f.ResumableUploads...)
	if f.MayExist {
		d.again++
	}
	s := d.stats[f.Prefix]
	if s == nil {
		s = &upload.PrefixStats{Prefix: f.Prefix}
		d.stats[f.Prefix] = s
	}
	s.Started++
	return s
}

func (d *destination) end(f upload.File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight--
	d.flying[f.Key]--
}

// lag is the time a canceled request takes to end.
func (d *destination) lag() {
	count := func(n int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.lingering += n
	}
	count(1)
	time.Sleep(d.linger)
	count(-1)
}

// sinceLast returns the keys begun since it was last called, and the most
// requests in flight at once meanwhile.
func (d *destination) sinceLast() (keys []string, most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keys, most = d.began, d.most
	d.began, d.most = nil, d.inFlight
	return keys, most
}

func (d *destination) Snapshot(time.Duration) []upload.PrefixStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []upload.PrefixStats
	for _, s := range d.stats {
		all = append(all, *s)
	}
	return all
}

func (d *destination) Probe(context.Context) error {
	d.mu.Lock()
	d.probes++
	d.mu.Unlock()
	if d.probe == nil {
		return nil
	}
	return d.probe()
}

func (d *destination) ChecksumAlgorithm() string { return s3.ChecksumCRC64NVME }

func (d *destination) OpenUploads(_ context.Context, prefix string) ([]s3.OpenUpload, error) {
	return slices.Clone(d.open), d.unlisted
}

// manifests keeps what is put, so that *destination is an archive.Store too.
func (d *destination) Put(_ context.Context, key string, body []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.objects[key] = body
	return nil
}

func (d *destination) Update(ctx context.Context, key string, change func(old []byte) ([]byte, error)) error {
	d.updates.Lock()
	defer d.updates.Unlock()
	changed, err := change(d.objects[key])
	if err != nil {
		return err
	}
	return d.Put(ctx, key, changed)
}

func (d *destination) Stat(_ context.Context, key string) (s3.ObjectInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return s3.ObjectInfo{ETag: cmp.Or(d.etag[key], "etag")}, nil
}

func (d *destination) Get(context.Context, string) ([]byte, error) {
	return nil, errors.New("nothing is read back")
}

func (d *destination) List(context.Context, string) ([]string, error) {
	return nil, errors.New("nothing is listed")
}

// bench is an engine at a made-up destination, with a manager made of calls.
type bench struct {
	*Engine
	t       *testing.T
	dest    *destination
	grant   v1alpha1.PrefixLeaseSpec
	options EngineOptions
	// files is how many files of 1,000 bytes an archive holds.
	files int
	ran   chan error
	stop  context.CancelFunc
}

// newBench makes an engine that Run has not been called on. Prefixes are a and b.
func newBench(t *testing.T) *bench {
	gate := upload.NewGate()
	b := &bench{t: t, files: 5, dest: &destination{
		gate: gate, stats: map[string]*upload.PrefixStats{}, flying: map[string]int{}, objects: map[string][]byte{},
	}}
	layout := archive.Layout{Base: "base", Pattern: archive.Mirror, Names: []string{"a", "b"}, UID: "uid"}
	b.options = EngineOptions{
		Uploader: b.dest, Gate: gate, Meter: b.dest, Destination: b.dest, Manifests: StoreManifests(b.dest),
		Layout:   func(context.Context) (archive.Layout, error) { return layout, nil },
		Fetch:    b.fetch,
		Instance: "one",
		Logger:   slog.New(slog.DiscardHandler),
	}
	b.grant = v1alpha1.PrefixLeaseSpec{
		Epoch: 1, Mode: v1alpha1.LeaseActive,
		LeaseDuration:  metav1.Duration{Duration: testLease},
		ReportInterval: metav1.Duration{Duration: testInterval},
	}
	return b
}

func (b *bench) fetch(_ context.Context, prefix string, number int64) (archive.Archive, error) {
	a := archive.Archive{Prefix: prefix, Number: number}
	for i := range b.files {
		a.Entries = append(a.Entries, archive.Entry{Path: fmt.Sprintf("%s/%d/%d", prefix, number, i), Size: 1000})
	}
	return a, nil
}

func (b *bench) run() {
	ctx, cancel := context.WithCancel(context.Background())
	b.Engine, b.stop, b.ran = NewEngine(b.options), cancel, make(chan error, 1)
	go func() { b.ran <- b.Run(ctx) }()
	b.t.Cleanup(cancel)
}

// end stops the engine and waits for it.
func (b *bench) end() {
	b.stop()
	if err := <-b.ran; err != nil && !errors.Is(err, context.Canceled) {
		b.t.Errorf("Run returned %v", err)
	}
}

// send grants as b.grant stands, with the next sequence.
func (b *bench) send() {
	b.grant.Sequence++
	b.Apply(b.grant)
}

// renew has the manager take in a report and answer it.
func (b *bench) renew() v1alpha1.PrefixLeaseStatus {
	r := b.Report()
	b.acknowledge(r)
	b.send()
	return r
}

// endsTwo runs an engine until it has ended archives 0 and 1 of prefix a, and reports that.
func (b *bench) endsTwo() v1alpha1.PrefixLeaseStatus {
	b.run()
	b.on("a", 4, 0, 1)
	b.renew()
	b.renew()
	after(time.Second)
	return b.Report()
}

// acknowledge makes the next grant one that has taken in a report: it names nothing that has
// ended by it.
func (b *bench) acknowledge(r v1alpha1.PrefixLeaseStatus) {
	b.grant.AcknowledgedReport, b.grant.AcknowledgedInstance = r.ReportSequence, r.Instance
	ended := map[string]bool{}
	for _, f := range r.Finished {
		ended[archiveName(f.Prefix, *f.Number)] = true
	}
	b.grant.Prefixes = slices.Clone(b.grant.Prefixes)
	for i := range b.grant.Prefixes {
		p := &b.grant.Prefixes[i]
		p.Archives = slices.DeleteFunc(slices.Clone(p.Archives), func(a v1alpha1.ArchiveAssignment) bool { return ended[archiveName(p.Name, *a.Number)] })
		reserve, err := protocol.ParseRanges(p.Reserve)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, f := range r.Finished {
			if f.Prefix == p.Name {
				reserve.Remove(*f.Number)
			}
		}
		p.Reserve = reserve.String()
	}
}

// on grants a window and archives on a prefix, at the first attempt.
func (b *bench) on(prefix string, window int32, archives ...int64) {
	g := v1alpha1.PrefixGrant{Name: prefix, Window: &window}
	for _, n := range archives {
		g.Archives = append(g.Archives, v1alpha1.ArchiveAssignment{Number: &n, Attempt: 1})
	}
	b.grant.Prefixes = slices.DeleteFunc(slices.Clone(b.grant.Prefixes), func(p v1alpha1.PrefixGrant) bool { return p.Name == prefix })
	b.grant.Prefixes = append(b.grant.Prefixes, g)
}

// after lets d pass, and everything settle.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func condition(r v1alpha1.PrefixLeaseStatus, kind string) (status metav1.ConditionStatus, reason string) {
	for _, c := range r.Conditions {
		if c.Type == kind {
			return c.Status, c.Reason
		}
	}
	return "", ""
}

func numbers(r v1alpha1.PrefixLeaseStatus) []string {
	var list []string
	for _, f := range r.Finished {
		text := fmt.Sprintf("%s%d", f.Prefix, *f.Number)
		if f.Result == v1alpha1.ArchiveRetry {
			text += "?"
		}
		list = append(list, text)
	}
	return list
}
