package copy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/semaphore"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/report"
	"cargoship.dev/operator/internal/s3"
)

func TestParseTarget(t *testing.T) {
	for target, want := range map[string][2]string{
		"s3://bucket":        {"bucket", ""},
		"s3://bucket/":       {"bucket", ""},
		"s3://bucket/a/b":    {"bucket", "a/b"},
		"s3://bucket/a/b/":   {"bucket", "a/b"},
		"s3://bucket/a b#?%": {"bucket", "a b#?%"},
	} {
		bucket, base, err := ParseTarget(target)
		if err != nil || bucket != want[0] || base != want[1] {
			t.Errorf("ParseTarget(%q) = %q, %q, %v; want %q", target, bucket, base, err, want)
		}
	}
	for _, target := range []string{"", "bucket", "/bucket", "https://bucket/a", "s3:bucket", "s3://", "s3:///a", "s3://user@bucket", "s3://host:9000/bucket"} {
		if _, _, err := ParseTarget(target); err == nil || !strings.Contains(err.Error(), "s3://BUCKET") {
			t.Errorf("ParseTarget(%q): %v, want an error that tells the form", target, err)
		}
	}
}

func TestParseEndpoint(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"": true, "http://127.0.0.1:9000": true, "https://s3.example.com/": true,
		"127.0.0.1:9000": false, "ftp://host": false, "https://": false, "https://user:secret@host": false, "http://h?x=1": false, "http://[": false,
	} {
		if err := ParseEndpoint(endpoint); (err == nil) != ok {
			t.Errorf("ParseEndpoint(%q): %v, want success %v", endpoint, err, ok)
		}
	}
}

func TestConfigIsValid(t *testing.T) {
	for _, uncoordinated := range []bool{false, true} {
		o := Options{Strategy: protocol.TCPLike, Uncoordinated: uncoordinated}
		if err := o.Config().Validate(); err != nil {
			t.Error(err)
		}
	}
}

// The walk stays ahead of the transfer by a bounded number of files.
func TestFeedIsBounded(t *testing.T) {
	const (
		files, ahead = 120, 40
		// An archive takes up to 64 MiB of files; these are holes.
		perArchive, size = 8, 8 << 20
	)
	dir := t.TempDir()
	for i := range files {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := errors.Join(os.WriteFile(name, nil, 0o644), os.Truncate(name, size)); err != nil {
			t.Fatal(err)
		}
	}
	source, err := archive.OpenSource(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		f.room = semaphore.NewWeighted(ahead)
		o := archive.WalkOptions{Layout: archive.Layout{Pattern: archive.Hash, Count: 1}}
		go f.walk(t.Context(), source, o)
		var held []archive.Archive
		var all int64
		for {
			synctest.Wait()
			select {
			case a, more := <-f.found:
				if !more {
					if f.err != nil || all != files {
						t.Errorf("%d files, %v; want %d", all, f.err, files)
					}
					return
				}
				held = append(held, a)
				all += a.Files()
			default:
				// The walk waits: let go of all that is in hand.
				if len(held) != ahead/perArchive {
					t.Fatalf("%d archives in hand, want %d", len(held), ahead/perArchive)
				}
				for _, a := range held {
					id := archiveID{a.Prefix, a.Number}
					_, once := f.done(id)
					if _, twice := f.done(id); !once || twice {
						t.Errorf("archive %d was not done just once", a.Number)
					}
				}
				held = nil
			}
		}
	})
}

func TestFeedStopsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	source, err := archive.OpenSource(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	stop := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	f := newFeed()
	time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
	f.walk(ctx, source, archive.WalkOptions{Layout: archive.Layout{Pattern: archive.Hash, Count: 1}})
	if !errors.Is(f.err, stop) {
		t.Errorf("error %v, want %v", f.err, stop)
	}
}

// puts is a store that counts what is put into it.
type puts struct {
	archive.Store
	mu   sync.Mutex
	keys []string
}

// Get finds nothing, as for who may not read.
func (p *puts) Get(context.Context, string) ([]byte, error) { return nil, s3.ErrNotFound }

func (p *puts) Put(_ context.Context, key string, _ []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append(p.keys, key)
	return nil
}

func failed(path string) archive.Member {
	return archive.Member{Path: path, Size: 1, Outcome: archive.Failed, Reason: "R", Message: "m"}
}

func TestOutcomesKeepTheLastAttempt(t *testing.T) {
	o := outcomes{store: &puts{}}
	put := func(number int64, members ...archive.Member) {
		t.Helper()
		if _, err := o.keep(t.Context(), "key", archive.Manifest{Number: number, Members: members}); err != nil {
			t.Fatal(err)
		}
	}
	put(1, failed("b"), failed("a"), archive.Member{Path: "c", Size: 10, Outcome: archive.Done, Kept: true})
	put(2, failed("z"))
	put(2, archive.Member{Path: "z", Size: 100, Outcome: archive.Done})
	want := []Failure{{"a", "R", "m"}, {"b", "R", "m"}}
	if diff := cmp.Diff(want, o.list()); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	wantSum := archive.Tally{Done: archive.Count{Files: 2, Bytes: 110}, Failed: archive.Count{Files: 2, Bytes: 2}}
	if sum, kept := o.sum(); sum != wantSum || kept != 1 {
		t.Errorf("%+v, %d kept, want %+v and 1", sum, kept, wantSum)
	}
	many := make([]archive.Member, maxFailures)
	for i := range many {
		many[i] = failed(fmt.Sprint(i))
	}
	put(3, many...)
	if n := len(o.list()); n != maxFailures {
		t.Errorf("%d failures kept, want %d", n, maxFailures)
	}
}

// TestCommitConserves has manifests that do not add up to what was found.
func TestCommitConserves(t *testing.T) {
	layout := archive.Layout{Pattern: archive.Hash, Count: 2, UID: "uid"}
	whole := func(members ...archive.Member) archive.Manifest {
		return archive.Manifest{Prefix: "01", Members: members}
	}
	done := archive.Member{Path: "a", Size: 10, Outcome: archive.Done}
	for name, tc := range map[string]struct {
		manifests []archive.Manifest
		want      bool
	}{
		"all":               {[]archive.Manifest{whole(done, failed("b"))}, true},
		"no manifest":       {nil, false},
		"no members":        {[]archive.Manifest{whole()}, false},
		"a member less":     {[]archive.Manifest{whole(done)}, false},
		"a member more":     {[]archive.Manifest{whole(done, failed("b"), failed("c"))}, false},
		"another size":      {[]archive.Manifest{whole(failed("a"), failed("b"))}, false},
		"an archive more":   {[]archive.Manifest{whole(done, failed("b")), {Prefix: "01", Number: 1}}, false},
		"an archive missed": {[]archive.Manifest{{Prefix: "01", Number: 1, Members: []archive.Member{done, failed("b")}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			store := &puts{}
			o := outcomes{store: store, layout: layout}
			for _, m := range tc.manifests {
				if _, err := o.keep(t.Context(), "manifest", m); err != nil {
					t.Fatal(err)
				}
			}
			planned := map[string]found{"01": {Count: archive.Count{Files: 2, Bytes: 11}, archives: 1}}
			err := o.commit(t.Context(), archive.Index{Transfer: "uid", Layout: layout}, planned, report.NewDraft(report.StoredAs("", false, false)))
			if (err == nil) != tc.want {
				t.Errorf("commit: %v", err)
			}
			if slices.Contains(store.keys, layout.IndexKey()) != tc.want {
				t.Errorf("put %q", store.keys)
			}
		})
	}
}

// TestManifestsAreNotReadBack commits to a bucket that may not be read. The last manifest of an
// archive is the one that is indexed.
func TestManifestsAreNotReadBack(t *testing.T) {
	layout := archive.Layout{Pattern: archive.Hash, Count: 2, UID: "uid"}
	done := archive.Member{Path: "a", Key: "01/a", Size: 10, Outcome: archive.Done}
	for name, kept := range map[string]bool{"kept": true, "too large": false} {
		t.Run(name, func(t *testing.T) {
			store := &puts{}
			var mu sync.Mutex
			var lacks []string
			warn := func(text string, _ error) {
				mu.Lock()
				defer mu.Unlock()
				lacks = append(lacks, text)
			}
			o := outcomes{store: store, layout: layout, warn: warn}
			for _, m := range []archive.Member{failed("a"), done} {
				if _, err := o.keep(t.Context(), layout.ManifestKey(1, 0), archive.Manifest{Prefix: "01", Members: []archive.Member{m}}); err != nil {
					t.Fatal(err)
				}
			}
			if !kept {
				o.room = 0
				o.remember(layout.ManifestKey(1, 0), make([]byte, manifestsKept))
			}
			planned := map[string]found{"01": {Count: archive.Count{Files: 1, Bytes: 10}, archives: 1}}
			if err := o.commit(t.Context(), archive.Index{Transfer: "uid", Layout: layout}, planned, report.NewDraft(report.StoredAs("", false, false))); err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(store.keys, layout.PathsKey(0, 0)); got != kept || (len(lacks) == 0) != got {
				t.Errorf("path index written: %v, warned of %q", got, lacks)
			}
		})
	}
}

func TestPatience(t *testing.T) {
	blocked := func(reason string) v1alpha1.PrefixLeaseStatus {
		return v1alpha1.PrefixLeaseStatus{Conditions: []metav1.Condition{{
			Type: v1alpha1.LeaseConditionBlocked, Status: metav1.ConditionTrue, Reason: reason, Message: "what is wrong",
		}}}
	}
	denied, away := blocked(v1alpha1.ReasonPermissionDenied), blocked(v1alpha1.ReasonEndpointUnreachable)
	refused := blocked(v1alpha1.ReasonConfigurationRejected)
	type step struct {
		after   time.Duration
		report  v1alpha1.PrefixLeaseStatus
		through bool
		looking bool // the bucket is still being looked up
	}
	for name, tc := range map[string]struct {
		steps []step
		want  bool // an error at the last step
	}{
		"nothing wrong":             {[]step{{}, {after: time.Hour}}, false},
		"denied for a moment":       {[]step{{report: denied}, {after: 4 * time.Second, report: denied}}, false},
		"denied for good":           {[]step{{report: denied}, {after: 6 * time.Second, report: denied}}, true},
		"a good probe changes none": {[]step{{report: denied}, {after: time.Second}, {after: 5 * time.Second, report: denied}}, true},
		"a request gets through":    {[]step{{report: denied}, {after: time.Second, through: true}, {after: 5 * time.Second, report: denied}}, false},
		"away for a while":          {[]step{{report: away}, {after: 50 * time.Second, report: away}}, false},
		"refused from the start":    {[]step{{report: refused}}, true},
		"refused while looking":     {[]step{{report: refused, looking: true}}, false},
		"refused, looked up":        {[]step{{report: refused, looking: true}, {report: refused}}, true},
		"denied while looking":      {[]step{{report: denied, looking: true}, {after: 6 * time.Second, report: denied}}, false},
		"refused later":             {[]step{{through: true}, {report: refused}, {after: 4 * time.Second, report: refused}}, false},
		"away for good":             {[]step{{report: away}, {after: 61 * time.Second, report: away}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &session{options: Options{Logger: slog.New(slog.DiscardHandler)}}
			now := time.Unix(0, 0)
			var err error
			for _, step := range tc.steps {
				now = now.Add(step.after)
				if s.looked = make(chan struct{}); !step.looking {
					close(s.looked)
				}
				err = s.patience(now, step.report, step.through)
			}
			if (err != nil) != tc.want || err != nil && err.Error() != "what is wrong" {
				t.Errorf("error %v, want one: %v", err, tc.want)
			}
		})
	}
}

func TestPrinter(t *testing.T) {
	p := Progress{Files: 1, FoundFiles: 5, FoundBytes: 3 << 20, Window: 8, State: protocol.SlowStart}
	steps := func(printer *Printer, n int, step time.Duration) {
		now := printer.begun
		for range n {
			printer.show(now, p)
			p.Sent += 1 << 18
			now = now.Add(step)
		}
		p.Sent = 0
	}
	var lines bytes.Buffer
	steps(NewPrinter(&lines, false, false), 9, 500*time.Millisecond)
	want := "1 of 5+ files  1.00 MiB of 3.00 MiB+  512 KiB/s  window 8  SlowStart\n" +
		"1 of 5+ files  2.00 MiB of 3.00 MiB+  512 KiB/s  window 8  SlowStart\n"
	if diff := cmp.Diff(want, lines.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}

	p.AllFound, p.Failed = true, 2
	var terminal bytes.Buffer
	printer := NewPrinter(&terminal, true, true)
	steps(printer, 2, 250*time.Millisecond)
	for _, line := range []string{"said\n", "more\n"} {
		if _, err := printer.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	printer.Clear()
	want = "\r\x1b[K1 of 5 files  256 KiB of 3.00 MiB  1.00 MiB/s  window 8  2 failed\r\x1b[Ksaid\nmore\n"
	if diff := cmp.Diff(want, terminal.String()); diff != "" {
		t.Errorf("redrawn line (-want +got):\n%s", diff)
	}
}

func TestClockNeitherRushesNorStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		defer c.stop()
		<-c.timer.C
		c.next()
		start := time.Now()
		for range 5 {
			c.hurry()
		}
		<-c.timer.C
		if took := time.Since(start); took != minTurn {
			t.Errorf("a hurried turn came after %v, want %v", took, minTurn)
		}
		c.next()
		start = time.Now()
		<-c.timer.C
		if took := time.Since(start); took != updateInterval {
			t.Errorf("a turn came after %v, want %v", took, updateInterval)
		}
	})
}

func TestTallyCountsGrowthOnly(t *testing.T) {
	report := func(accepted, p50 int64) v1alpha1.PrefixLeaseStatus {
		p99 := 2 * p50
		return v1alpha1.PrefixLeaseStatus{ChecksumAlgorithm: "CRC32C", Prefixes: []v1alpha1.PrefixReport{{
			Name: "a", Started: &accepted, Accepted: &accepted, ServiceP50Microseconds: &p50, ServiceP99Microseconds: &p99,
		}}}
	}
	s := &session{}
	for i, want := range []bool{true, false, true} {
		if through := s.tally.count(report([]int64{10, 10, 40}[i], []int64{1000, 9000, 5000}[i])); through != want {
			t.Errorf("report %d: through %v, want %v", i, through, want)
		}
	}
	got := s.summary(time.Second)
	want := Summary{Seconds: 1, Requests: 40, P50: 0.004, P99: 0.008, Checksum: "CRC32C"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}
