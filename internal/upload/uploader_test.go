package upload

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cargoship.dev/operator/internal/s3/s3test"

	"cargoship.dev/operator/internal/s3"
)

func TestUploadStoresEverySizeWhole(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct{ size, parts int }{
		{0, 0}, {1, 0}, {8*mebi - 1, 0}, {8 * mebi, 0}, {8*mebi + 1, 0}, {16 * mebi, 0},
		{16*mebi + 1, 3}, {17 * mebi, 3}, {24 * mebi, 3}, {24*mebi + 1, 4}, {100 * mebi, 13},
	} {
		t.Run(fmt.Sprint(c.size), func(t *testing.T) {
			f, key := newFile(c.size), fmt.Sprintf("base/dir/%d", c.size)
			receipt, err := r.Upload(t.Context(), f.file(key))
			if err != nil {
				t.Fatalf("Upload: %v", err)
			}
			want := Receipt{
				ETag:              receipt.ETag,
				Checksum:          checksumOf(f.content),
				ChecksumAlgorithm: s3.ChecksumCRC64NVME, Parts: c.parts, Bytes: int64(c.size),
			}
			if receipt != want || receipt.ETag == "" || strings.Contains(receipt.ETag, `"`) {
				t.Errorf("receipt = %+v, want %+v with a bare ETag", receipt, want)
			}
			r.wantStored(t, key, f.content)
			if f.closed.Load() != 1 {
				t.Errorf("the file was closed %d times, want once", f.closed.Load())
			}
		})
	}
	r.wantNoUploads(t)
	if got := r.client.ChecksumAlgorithm(); got != s3.ChecksumCRC64NVME {
		t.Errorf("ChecksumAlgorithm = %q, want %q", got, s3.ChecksumCRC64NVME)
	}
}

func TestUploadWithCRC32C(t *testing.T) {
	r := newRig(t, func(o *s3.Options) { o.Checksum = s3.ChecksumCRC32C })
	for _, c := range []struct {
		size   int
		suffix string
	}{{0, "="}, {5, "="}, {17 * mebi, "-3"}} {
		f, key := newFile(c.size), fmt.Sprint("crc32c/", c.size)
		receipt, err := r.Upload(t.Context(), f.file(key))
		if err != nil {
			t.Fatalf("Upload of %d bytes: %v", c.size, err)
		}
		if receipt.ChecksumAlgorithm != s3.ChecksumCRC32C || !strings.HasSuffix(receipt.Checksum, c.suffix) {
			t.Errorf("receipt of %d bytes = %+v, want a CRC32C ending in %s", c.size, receipt, c.suffix)
		}
		r.wantStored(t, key, f.content)
	}
}

// With the least memory a body of 16 MiB is read twice rather than kept, and parts wait
// for each other.
func TestUploadInLittleMemory(t *testing.T) {
	r := newRig(t, nil)
	r.memory = newMemory(1, nil)
	var all sync.WaitGroup
	for i, size := range []int{16 * mebi, 40 * mebi, 12 * mebi, 5} {
		all.Go(func() {
			f, key := newFile(size), fmt.Sprint("little/", i)
			if _, err := r.Upload(t.Context(), f.file(key)); err != nil {
				t.Errorf("Upload of %d bytes: %v", size, err)
			}
			r.wantStored(t, key, f.content)
		})
	}
	all.Wait()
	if !r.memory.ahead.TryAcquire(r.memory.limit/2) || !r.memory.behind.TryAcquire(r.memory.limit/2) {
		t.Error("memory was not returned")
	}
}

// What streams take is counted, and is no more than the window and what may be ready.
func TestStreamsTakeWhatTheWindowTakes(t *testing.T) {
	r := newRig(t, nil)
	const window = 2
	r.gate.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: window}})
	most := int64(0)
	r.memory.parts.use.told = func(n int64) { most = n }
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			content := newFile(60 * mebi).content
			_, err := r.UploadStream(t.Context(), Stream{
				Prefix: "prefix", Key: fmt.Sprint("stream/", i), Size: int64(len(content)),
				Parts: partsOf{content},
			})
			if err != nil {
				t.Errorf("UploadStream: %v", err)
			}
		})
	}
	all.Wait()
	if limit := int64(window*minPart + readyMemory); most == 0 || most > limit {
		t.Errorf("bodies took %d MiB, want more than none and at most %d", most/mebi, limit/mebi)
	}
	if held := r.memory.parts.use.held.Load(); held != 0 || !r.memory.ready.TryAcquire(readyMemory) {
		t.Errorf("%d bytes were not given back, or what was ready is not", held)
	}
}

func TestUploadSurvivesFaults(t *testing.T) {
	r := newRig(t, nil)
	small, large := newFile(3*mebi), newFile(20*mebi)
	for _, c := range []struct {
		name  string
		file  *memoryFile
		kind  func(*http.Request) bool
		times int64
		fault s3test.Fault
	}{
		{"throttled put", small, s3test.IsPut, 3, s3test.Refuse(503, "SlowDown")},
		{"throttled without a word", small, s3test.IsPut, 3, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }},
		{"throttled part", large, s3test.IsPart, 5, s3test.Refuse(503, "SlowDown")},
		{"throttled create", large, s3test.IsCreate, 2, s3test.Refuse(429, "TooManyRequests")},
		{"internal error on put", small, s3test.IsPut, 3, s3test.Refuse(500, "InternalError")},
		{"internal error on complete", large, s3test.IsComplete, 2, s3test.Refuse(500, "InternalError")},
		{"error in an answer of 200", large, s3test.IsComplete, 2, s3test.Refuse(200, "InternalError")},
		{"reset put", small, s3test.IsPut, 3, s3test.Reset},
		{"reset part", large, s3test.IsPart, 4, s3test.Reset},
		{"lost answer to put", small, s3test.IsPut, 1, r.proxy.Lose},
		{"lost answer to part", large, s3test.IsPart, 2, r.proxy.Lose},
		{"lost answer to create", large, s3test.IsCreate, 2, r.proxy.Lose},
		{"lost answer to complete", large, s3test.IsComplete, 1, r.proxy.Lose},
		{"damaged put", small, s3test.IsPut, 2, s3test.Damage},
		{"damaged part", large, s3test.IsPart, 3, s3test.Damage},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.proxy.Times(c.times, c.kind, c.fault)
			key := "faults/" + strings.ReplaceAll(c.name, " ", "-")
			if _, err := r.Upload(t.Context(), c.file.file(key)); err != nil {
				t.Fatalf("Upload: %v", err)
			}
			if _, rate := r.gate.limit("prefix"); c.name == "throttled put" && rate == 0 {
				t.Error("the gate does not pace requests after throttled ones")
			}
			r.wantStored(t, key, c.file.content)
			r.wantNoUploads(t)
		})
	}
	stats := r.meter.Snapshot(0)[0]
	if stats.Started != stats.Accepted+stats.Throttled+stats.Failed || stats.Throttled != 13 {
		t.Errorf("stats = %+v, want 13 throttled and every request ended", stats)
	}
}

func TestUploadGivesUp(t *testing.T) {
	r := newRig(t, nil)
	small, large := newFile(100), newFile(20*mebi)
	if _, err := r.Upload(t.Context(), small.file("first")); err != nil { // Which confirms the checksum.
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		file     *memoryFile
		kind     func(*http.Request) bool
		fault    s3test.Fault
		class    s3.Class
		reason   string
		attempts int
	}{
		{"damaged put", small, s3test.IsPut, s3test.Damage, s3.Integrity, s3.ReasonChecksumMismatch, s3.MaxAttempts},
		{"broken put", small, s3test.IsPut, s3test.Reset, s3.Transient, s3.ReasonConnectionLost, s3.MaxAttempts},
		{"denied put", small, s3test.IsPut, s3test.Refuse(403, "AccessDenied"), s3.Permission, s3.ReasonPermissionDenied, 1},
		{"expired put", small, s3test.IsPut, s3test.Refuse(400, "ExpiredToken"), s3.Credentials, s3.ReasonCredentialsExpired, 1},
		{"no bucket", small, s3test.IsPut, s3test.Refuse(404, "NoSuchBucket"), s3.Missing, s3.ReasonBucketNotFound, 1},
		{"moved bucket", small, s3test.IsPut, s3test.Refuse(301, "PermanentRedirect"), s3.Configuration, s3.ReasonRegionMismatch, 1},
		{"odd name", small, s3test.IsPut, s3test.Refuse(400, "XMinioInvalidObjectName"), s3.Source, s3.ReasonObjectRejected, 1},
		{"denied create", large, s3test.IsCreate, s3test.Refuse(403, "AccessDenied"), s3.Permission, s3.ReasonPermissionDenied, 1},
		{"unknown key", large, s3test.IsCreate, s3test.Refuse(400, "KMS.NotFoundException"), s3.Configuration, s3.ReasonConfigurationRejected, 1},
		{"vanished upload", large, s3test.IsPart, s3test.Refuse(404, "NoSuchUpload"), s3.Transient, s3.ReasonUploadVanished, 3},
		{"bad parts", large, s3test.IsComplete, s3test.Refuse(400, "InvalidPart"), s3.Integrity, s3.ReasonChecksumMismatch, 1},
		{"vanished at the end", large, s3test.IsComplete, s3test.Refuse(404, "NoSuchUpload"), s3.Transient, s3.ReasonUploadVanished, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.retrier = s3.NewRetrier()
			r.retrier.Sleep, r.retrier.Gated = noSleep, true
			before := r.proxy.Requests(c.kind)
			r.proxy.Times(s3test.Always, c.kind, c.fault)
			key := "gives-up/" + strings.ReplaceAll(c.name, " ", "-")
			_, err := r.Upload(t.Context(), c.file.file(key))
			e := asError(t, err, c.class, c.reason)
			if attempts := r.proxy.Requests(c.kind) - before; attempts > c.attempts || attempts == 0 {
				t.Errorf("%d attempts, want 1 to %d", attempts, c.attempts)
			}
			if e.LeftOpen != nil {
				t.Errorf("LeftOpen = %v, want none", e.LeftOpen)
			}
			r.wantNothing(t, key)
		})
	}
}

// A file is looked at once for each body and once before the parts become an object.
func TestUploadNeverStoresAChangedFile(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		size, call int
	}{{0, 0}, {1, 0}, {16 * mebi, 0}, {20 * mebi, 0}, {20 * mebi, 1}, {20 * mebi, 3}} {
		t.Run(fmt.Sprintf("%d bytes at call %d", c.size, c.call), func(t *testing.T) {
			f := newFile(c.size)
			f.change = func(call int) error {
				if call >= c.call {
					return s3.ChangedError{Text: "touched"}
				}
				return nil
			}
			key := fmt.Sprintf("changed/%d-%d", c.size, c.call)
			_, err := r.Upload(t.Context(), f.file(key))
			wantError(t, err, s3.Source, s3.ReasonChanged)
			r.wantNothing(t, key)
		})
	}
}

func TestUploadOfBadSources(t *testing.T) {
	r := newRig(t, nil)
	short := func(size, missing int) File {
		f := newFile(size - missing).file("bad/short")
		f.Size = int64(size)
		return f
	}
	unopened := newFile(5).file("bad/unopened")
	unopened.Open = func() (SourceFile, error) { return nil, fs.ErrPermission }
	for _, c := range []struct {
		name   string
		file   File
		reason string
	}{
		{"shrunk", short(10, 3), s3.ReasonChanged},
		{"shrunk to nothing", short(10, 10), s3.ReasonChanged},
		{"shrunk, large", short(20*mebi, 1), s3.ReasonChanged},
		{"shrunk by parts", short(40*mebi, 20*mebi), s3.ReasonChanged},
		{"not opened", unopened, s3.ReasonUnreadable},
		{"long key", newFile(5).file("bad/" + strings.Repeat("k", 1021)), s3.ReasonKeyTooLong},
		{"odd key", newFile(5).file("bad/\xff"), s3.ReasonNameNotUTF8},
		{"too large", File{Key: "bad/large", Size: maxParts*maxPart + 1}, s3.ReasonTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.Upload(t.Context(), c.file)
			wantError(t, err, s3.Source, c.reason)
			if !strings.HasPrefix(c.file.Key, "bad/k") && !strings.Contains(c.file.Key, "\xff") {
				r.wantNothing(t, c.file.Key)
			}
		})
	}
}

// The second reading of a body that is not kept may fail on its own.
func TestUploadOfAFileThatFailsWhileSent(t *testing.T) {
	r := newRig(t, nil)
	r.memory = newMemory(1, nil)
	content := newFile(16 * mebi)
	f := content.file("bad/second")
	f.Open = func() (SourceFile, error) { return &failsAfterChange{memoryFile: content}, nil }
	_, err := r.Upload(t.Context(), f)
	wantError(t, err, s3.Source, s3.ReasonUnreadable)
	r.wantNothing(t, f.Key)
}

// failsAfterChange cannot be read the next time after it was asked whether it is
// unchanged, which is the second reading of a body.
type failsAfterChange struct {
	*memoryFile
	armed atomic.Bool
}

func (f *failsAfterChange) ReadAt(p []byte, offset int64) (int, error) {
	if f.armed.Swap(false) {
		return 0, errors.New("input/output error")
	}
	return f.memoryFile.ReadAt(p, offset)
}

func (f *failsAfterChange) Unchanged() error {
	f.armed.Store(true)
	return nil
}

func TestPartSize(t *testing.T) {
	const gibi, tebi = int64(1) << 30, int64(1) << 40
	for _, c := range []struct{ size, want int64 }{
		{17 * mebi, 8 * mebi}, {78 * gibi, 8 * mebi}, {79 * gibi, 9 * mebi}, {tebi, 105 * mebi}, {5 * tebi, 525 * mebi},
		{maxParts * maxPart, maxPart}, {maxParts*maxPart - 1, maxPart},
	} {
		got := partSize(c.size)
		if got != c.want || (c.size+got-1)/got > maxParts {
			t.Errorf("partSize(%d) = %d, want %d in at most %d parts", c.size, got, c.want, maxParts)
		}
	}
}
