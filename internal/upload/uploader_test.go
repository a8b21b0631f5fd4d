package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	r.gate.Set([]Limit{{Prefix: "lane", Window: window}})
	most := int64(0)
	r.memory.parts.use.told = func(n int64) { most = n }
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			content := newFile(60 * mebi).content
			_, err := r.UploadStream(t.Context(), Stream{
				Prefix: "lane", Key: fmt.Sprint("stream/", i), Size: int64(len(content)),
				Open: func() (Parts, error) { return partsOf{content}, nil },
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
			if _, rate := r.gate.limit("lane"); c.name == "throttled put" && rate == 0 {
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
		{"odd name", small, s3test.IsPut, s3test.Refuse(400, "XMinioInvalidObjectName"), s3.Source, s3.ReasonObjectRefused, 1},
		{"denied create", large, s3test.IsCreate, s3test.Refuse(403, "AccessDenied"), s3.Permission, s3.ReasonPermissionDenied, 1},
		{"unknown key", large, s3test.IsCreate, s3test.Refuse(400, "KMS.NotFoundException"), s3.Configuration, s3.ReasonConfigurationRefused, 1},
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

func TestUploadCanceledLeavesNothing(t *testing.T) {
	r := newRig(t, nil)
	for _, size := range []int{5, 40 * mebi} {
		ctx, cancel := context.WithCancelCause(t.Context())
		r.proxy.Times(s3test.Always, func(r *http.Request) bool { return s3test.IsPart(r) || s3test.IsPut(r) }, func(_ http.ResponseWriter, hung *http.Request) bool {
			cancel(errors.New("drained"))
			return s3test.Hang(hung)
		})
		key := fmt.Sprint("canceled/", size)
		_, err := r.Upload(ctx, newFile(size).file(key))
		if e := asError(t, err, s3.Transient, s3.ReasonCanceled); !errors.Is(e, context.Canceled) {
			t.Errorf("error %v is not context.Canceled", e)
		}
		r.wantNothing(t, key)
	}
}

// A drained worker's gate is closed, and its uploads are aborted all the same.
func TestUploadCanceledAtAClosedGateIsAborted(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	r.proxy.Times(1, s3test.IsPart, func(_ http.ResponseWriter, hung *http.Request) bool {
		r.gate.Set(nil)
		cancel()
		return s3test.Hang(hung)
	})
	_, err := r.Upload(ctx, newFile(40*mebi).file("drained"))
	wantError(t, err, s3.Transient, s3.ReasonCanceled)
	r.wantNothing(t, "drained")
}

// A part that was cut off may be stored after the abort and bring the upload back.
func TestUploadThatComesBackIsAbortedAgain(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var aborts atomic.Int64
	f := s3test.Fault(func(w http.ResponseWriter, q *http.Request) bool {
		if s3test.IsPart(q) {
			cancel()
			return s3test.Hang(q)
		}
		if s3test.IsAbort(q) && aborts.Add(1) == 1 {
			w.WriteHeader(http.StatusNoContent)
			return true
		}
		return false
	})
	r.proxy.Do(f)
	_, err := r.Upload(ctx, newFile(20*mebi).file("revived"))
	wantError(t, err, s3.Transient, s3.ReasonCanceled)
	r.wantNothing(t, "revived")
}

// When the answer to a completion was lost, the next attempt may find the upload gone.
// Then the object that stands decides.
func TestUploadWhoseCompletionWasDoneUnseen(t *testing.T) {
	r := newRig(t, nil)
	f := newFile(20 * mebi)
	for _, done := range []bool{true, false} {
		t.Run(fmt.Sprint(done), func(t *testing.T) {
			key := fmt.Sprint("unseen/", done)
			if err := r.client.Put(t.Context(), key, []byte("before")); err != nil {
				t.Fatalf("Put: %v", err)
			}
			var completions atomic.Int64
			r.proxy.Times(s3test.Always, s3test.IsComplete, func(w http.ResponseWriter, q *http.Request) bool {
				switch {
				case completions.Add(1) > 1:
					return s3test.Refuse(404, "NoSuchUpload")(w, q)
				case done:
					return r.proxy.Lose(w, q)
				default:
					return s3test.Reset(w, q)
				}
			})
			receipt, err := r.Upload(t.Context(), f.file(key))
			if !done {
				wantError(t, err, s3.Transient, s3.ReasonUploadVanished)
				r.wantStored(t, key, []byte("before"))
				r.wantNoUploads(t)
				return
			}
			if err != nil || receipt.ETag == "" || receipt.Parts != 3 {
				t.Errorf("Upload = %+v, %v, want a receipt", receipt, err)
			}
			r.wantStored(t, key, f.content)
		})
	}
}

// The time to send a body is no part of the time to answer it.
func TestServiceTimeBeginsWithTheLastByteSent(t *testing.T) {
	r := newRig(t, nil)
	r.proxy.Times(s3test.Always, s3test.IsPut, func(_ http.ResponseWriter, q *http.Request) bool {
		time.Sleep(300 * time.Millisecond)
		return false
	})
	// Of this size the SDK asks for "100 Continue", which comes when the body is read.
	if _, err := r.Upload(t.Context(), newFile(4*mebi).file("slow")); err != nil {
		t.Fatalf("Upload: %v", err)
	}
	stats := r.meter.Snapshot(0)[0]
	if stats.AttemptP50 < 290*time.Millisecond || stats.ServiceP50 == 0 || stats.AttemptP50-stats.ServiceP50 < 250*time.Millisecond {
		t.Errorf("attempt %v, service %v, want the 300 ms before the body in the first only", stats.AttemptP50, stats.ServiceP50)
	}
}

func TestUploadTellsWhatItLeavesOpen(t *testing.T) {
	r := newRig(t, nil)
	failed := s3test.Fault(func(w http.ResponseWriter, q *http.Request) bool {
		return (s3test.IsPart(q) || s3test.IsAbort(q)) && s3test.Refuse(403, "AccessDenied")(w, q)
	})
	r.proxy.Do(failed)
	_, err := r.Upload(t.Context(), newFile(20*mebi).file("left"))
	e := asError(t, err, s3.Permission, s3.ReasonPermissionDenied)
	if e.LeftOpen == nil || !strings.Contains(e.Error(), e.LeftOpen.UploadID) {
		t.Fatalf("error = %v, LeftOpen = %v, want the upload named in both", e, e.LeftOpen)
	}
	r.proxy.Do(nil)
	uploads, err := r.client.OpenUploads(t.Context(), "le")
	if err != nil || len(uploads) != 1 || uploads[0].UploadID != e.LeftOpen.UploadID || uploads[0].Initiated.IsZero() {
		t.Fatalf("open uploads = %v, %v, want %v", uploads, err, e.LeftOpen)
	}
	if err := r.client.AbortUpload(t.Context(), *e.LeftOpen); err != nil {
		t.Fatalf("AbortUpload: %v", err)
	}
	if err := r.client.AbortUpload(t.Context(), *e.LeftOpen); err != nil {
		t.Errorf("AbortUpload of one that is gone: %v", err)
	}
	r.wantNothing(t, "left")
}

func TestUploadSendsWhatWasConfigured(t *testing.T) {
	r := newRig(t, func(o *s3.Options) {
		o.StorageClass, o.SSE, o.KMSKeyID = "STANDARD_IA", "aws:kms", "key-1"
		o.Tags = map[string]string{"team": "a b", "p": "1+1"}
	})
	want := map[string]string{
		"X-Amz-Storage-Class": "STANDARD_IA", "X-Amz-Tagging": "p=1%2B1&team=a%20b", "X-Amz-Meta-Mode": "0640",
		"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key-1",
	}
	for kind, size := range map[string]int{http.MethodPut: 5, http.MethodPost: 17 * mebi} {
		var got map[string]string
		r.proxy.Times(1, func(r *http.Request) bool { return s3test.IsPut(r) || s3test.IsCreate(r) }, func(w http.ResponseWriter, q *http.Request) bool {
			got = map[string]string{}
			for name := range want {
				got[name] = q.Header.Get(name)
			}
			return s3test.Refuse(403, "AccessDenied")(w, q)
		})
		f := newFile(size).file("configured")
		f.Metadata = map[string]string{"mode": "0640"}
		_, err := r.Upload(t.Context(), f)
		wantError(t, err, s3.Permission, s3.ReasonPermissionDenied)
		if !maps.Equal(got, want) {
			t.Errorf("headers of %s = %v, want %v", kind, got, want)
		}
	}
}

// A large body is not sent before the server has agreed to take it.
func TestRefusedBodiesAreNotSent(t *testing.T) {
	r := newRig(t, nil)
	var took atomic.Int64
	r.proxy.Times(3, s3test.IsPart, func(w http.ResponseWriter, _ *http.Request) bool {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("Hijack: %v", err)
			return true
		}
		defer conn.Close() //nolint:errcheck // The client has given it up.
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, _ := io.Copy(io.Discard, buffered)
		took.Add(n)
		return true
	})
	if _, err := r.Upload(t.Context(), newFile(20*mebi).file("refused")); err != nil {
		t.Fatalf("Upload: %v", err)
	}
	if took.Load() != 0 {
		t.Errorf("%d bytes came after the refusal, want none", took.Load())
	}
}

func TestUploadFallsBackToCRC32C(t *testing.T) {
	usesCRC64 := func(r *http.Request) bool {
		return r.Header.Get("X-Amz-Checksum-Crc64nvme") != "" || r.Header.Get("X-Amz-Checksum-Algorithm") == s3.ChecksumCRC64NVME
	}
	for _, size := range []int{5, 17 * mebi} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			r := newRig(t, nil)
			r.proxy.Times(s3test.Always, usesCRC64, s3test.Refuse(400, "InvalidRequest"))
			file := newFile(size)
			for _, key := range []string{"fallback/1", "fallback/2"} {
				receipt, err := r.Upload(t.Context(), file.file(key))
				if err != nil || receipt.ChecksumAlgorithm != s3.ChecksumCRC32C {
					t.Fatalf("Upload = %+v, %v, want CRC32C", receipt, err)
				}
				r.wantStored(t, key, file.content)
			}
			if got := r.client.ChecksumAlgorithm(); got != s3.ChecksumCRC32C {
				t.Errorf("ChecksumAlgorithm = %q, want CRC32C", got)
			}
			r.wantNoUploads(t)
		})
	}
}

func TestUploadRefusesAServerThatVerifiesNothing(t *testing.T) {
	r := newRig(t, nil)
	r.proxy.Times(s3test.Always, s3test.IsPart, func(w http.ResponseWriter, q *http.Request) bool {
		r.proxy.Backend.ServeHTTP(&s3test.SilentWriter{ResponseWriter: w, ETag: "\"of its own\""}, q)
		return true
	})
	_, err := r.Upload(t.Context(), newFile(17*mebi).file("unverified"))
	wantError(t, err, s3.Configuration, s3.ReasonChecksumUnsupported)
	r.wantNothing(t, "unverified")
}

func TestUploadStaysWithinTheWindow(t *testing.T) {
	r := newRig(t, nil)
	r.gate.Set([]Limit{{Prefix: "lane", Window: 3}, {Prefix: "other", Window: 1}})
	r.proxy.Times(s3test.Always, func(*http.Request) bool { return true }, func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(2 * time.Millisecond)
		return false
	})
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			f := newFile(1000 + i).file(fmt.Sprint("window/", i))
			if i%10 == 0 {
				f = newFile(20 * mebi).file(fmt.Sprint("window/", i))
				f.Prefix = "other"
			}
			if _, err := r.Upload(t.Context(), f); err != nil {
				t.Errorf("Upload: %v", err)
			}
		})
	}
	all.Wait()
	if r.proxy.Most() != 4 {
		t.Errorf("at most %d requests in flight, want exactly the windows' sum of 4", r.proxy.Most())
	}
	stats := r.meter.Snapshot(0)
	for i, want := range []int{3, 1} {
		if stats[i].MaxInFlight != want || stats[i].LimitedBy == BySource || stats[i].Measured == 0 || stats[i].ServiceP50 < 2*time.Millisecond {
			t.Errorf("stats = %+v, want %d in flight and a service time of 2 ms and more", stats[i], want)
		}
	}
}

// A server that dies and comes back blocks the upload at once and takes the next one.
func TestUploadAfterTheServerCameBack(t *testing.T) {
	r := newRig(t, nil)
	r.client = newUploader(t, s3.Options{
		Bucket: testBucket, Endpoint: r.server.Endpoint, PathStyle: true, CredentialsDir: r.server.CredentialsDir(t),
	}, 0).client
	f := newFile(10)
	if _, err := r.Upload(t.Context(), f.file("before")); err != nil {
		t.Fatalf("Upload: %v", err)
	}
	r.server.Stop()
	_, err := r.Upload(t.Context(), f.file("between"))
	if e := asError(t, err, s3.Configuration, s3.ReasonEndpointUnreachable); !e.Blocks() {
		t.Errorf("%v does not block", e)
	}
	r.server.Restart(t)
	if err := r.client.Probe(t.Context()); err != nil {
		t.Errorf("Probe: %v", err)
	}
	if _, err := r.Upload(t.Context(), f.file("after")); err != nil {
		t.Errorf("Upload: %v", err)
	}
	r.wantStored(t, "after", f.content)
}

func TestUploadWithRotatedCredentials(t *testing.T) {
	dir := t.TempDir()
	write := func(id, secret string) {
		t.Helper()
		for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret + "\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("old", "stale")
	r := newRig(t, func(o *s3.Options) { o.CredentialsDir = dir })
	f := newFile(10)
	_, err := r.Upload(t.Context(), f.file("rotated"))
	wantError(t, err, s3.Credentials, s3.ReasonCredentialsRejected)
	write(r.server.AccessKey, r.server.SecretKey)
	if _, err := r.Upload(t.Context(), f.file("rotated")); err != nil {
		t.Errorf("Upload with new credentials: %v", err)
	}
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
