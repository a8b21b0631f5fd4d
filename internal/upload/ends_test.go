package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
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
		r.gate.Set(Grant{}, nil)
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
	r.gate.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 3}, {Prefix: "second", Window: 1}})
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
				f.Prefix = "second"
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
