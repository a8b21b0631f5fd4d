package transfer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cargoship.dev/operator/internal/transfer/s3test"
)

// A server's own code for what meets every object blocks; for what it has against one, the
// others go on.
func TestUnknownRefusalsAreOfTheDestinationUntilOthersAreTaken(t *testing.T) {
	r := newRig(t, nil)
	r.proxy.times(always, isPut, refuse(400, "WriteOncePolicyViolated"))
	for range 2 {
		for _, key := range []string{"a", "b", "c"} {
			_, err := r.Upload(t.Context(), newFile(10).file(key))
			if e := asError(t, err, Configuration, ReasonConfigurationRefused); !strings.Contains(e.Error(), "WriteOncePolicyViolated") {
				t.Errorf("%v does not have the server's words", e)
			}
		}
	}
	r.proxy.times(always, func(q *http.Request) bool { return isPut(q) && strings.HasSuffix(q.URL.Path, "/b") }, refuse(400, "OddNameRefused"))
	if _, err := r.Upload(t.Context(), newFile(10).file("a")); err != nil {
		t.Fatal(err)
	}
	_, err := r.Upload(t.Context(), newFile(10).file("b"))
	wantError(t, err, Source, ReasonObjectRefused)
}

func TestKMSThrottlingIsNamed(t *testing.T) {
	for _, err := range []error{
		refusal(503, "SlowDown", "AWS KMS: the request rate is too high"),
		refusal(400, "KMS.ThrottlingException", ""),
		refusal(503, "ServiceUnavailable", "Key Management Service"),
	} {
		if e := asError(t, Classify("put object", "k", err), Throttled, ReasonKMSThrottled); !strings.Contains(e.Error(), "bucket key") {
			t.Errorf("%v tells no remedy", e)
		}
	}
}

// A conflict at the end means that the upload is lost: to ask again would not end.
func TestConflictAtTheEndMeansANewUpload(t *testing.T) {
	for _, keep := range []bool{false, true} {
		r := newRig(t, func(o *Options) { o.NoOverwrite = true })
		r.keepOpen = keep
		r.proxy.times(1, isComplete, refuse(409, "ConditionalRequestConflict"))
		f := newFile(20 * mebi)
		_, err := r.Upload(t.Context(), f.file("contested"))
		wantError(t, err, Transient, ReasonUploadConflict)
		if n := r.proxy.requests(isComplete); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		r.wantNothing(t, "contested")
		if _, err := r.Upload(t.Context(), f.file("contested")); err != nil {
			t.Errorf("the next upload: %v", err)
		}
	}
}

// muteUploads hides how the server checks uploads.
func muteUploads(r *rig, more fault) {
	f := fault(func(w http.ResponseWriter, q *http.Request) bool {
		if more != nil && more(w, q) {
			return true
		}
		if q.Method == http.MethodGet {
			r.proxy.backend.ServeHTTP(&silentWriter{ResponseWriter: w}, q)
			return true
		}
		return false
	})
	r.proxy.fault.Store(&f)
}

// The answer to a creation is lost on a server that does not say how it checks uploads.
func TestLostCreationsAreSweptOnEveryServer(t *testing.T) {
	r := newRig(t, nil)
	var lost atomic.Bool
	muteUploads(r, func(w http.ResponseWriter, q *http.Request) bool {
		return isCreate(q) && lost.CompareAndSwap(false, true) && r.proxy.lose(w, q)
	})
	f := newFile(20 * mebi)
	if _, err := r.Upload(t.Context(), f.file("lost")); err != nil {
		t.Fatal(err)
	}
	r.wantStored(t, "lost", f.content)
	r.wantNoUploads(t)
}

// An interrupt while an upload is being created leaves none.
func TestAnInterruptedCreationLeavesNothing(t *testing.T) {
	for name, delay := range map[string]time.Duration{"in time": 100 * time.Millisecond, "too late": createGrace + 100*time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			muteUploads(r, func(w http.ResponseWriter, q *http.Request) bool {
				if !isCreate(q) {
					return false
				}
				cancel()
				time.Sleep(delay)
				r.proxy.backend.ServeHTTP(w, q.WithContext(context.WithoutCancel(q.Context())))
				return true
			})
			begun := time.Now()
			_, err := r.Upload(ctx, newFile(20*mebi).file("interrupted"))
			if e := asError(t, err, Transient, ReasonCanceled); !strings.Contains(e.Error(), "stopped") {
				t.Errorf("%v does not say that it was stopped", e)
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			r.wantNothing(t, "interrupted")
		})
	}
}

// Empty uploads of an earlier run are cleared where the server says of none how it checks it.
func TestEmptyUploadsAreClearedOnMuteServers(t *testing.T) {
	r := newRig(t, nil)
	f := newFile(20 * mebi)
	upload := r.left(t, "again", f.content, 8*mebi)
	muteUploads(r, nil)
	file := f.file("again")
	file.Left = []OpenUpload{upload}
	if _, err := r.Upload(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	r.wantNoUploads(t)
}

// Who may do nothing but write can copy.
func TestPutObjectAloneIsEnough(t *testing.T) {
	for _, noOverwrite := range []bool{false, true} {
		r := newRig(t, func(o *Options) { o.NoOverwrite = noOverwrite })
		f := fault(func(w http.ResponseWriter, q *http.Request) bool {
			return !isPut(q) && !isPart(q) && !isCreate(q) && !isComplete(q) && refuse(403, "AccessDenied")(w, q)
		})
		r.proxy.fault.Store(&f)
		if err := r.client.Probe(t.Context()); err != nil {
			t.Errorf("Probe: %v", err)
		}
		for key, size := range map[string]int{"small": 10, "large": 20 * mebi} {
			content := newFile(size)
			file := content.file(key)
			file.Again = true
			file.Left = []OpenUpload{{Key: key, UploadID: "unknown"}}
			if _, err := r.Upload(t.Context(), file); err != nil {
				t.Errorf("Upload of the %s file: %v", key, err)
			}
			r.wantStored(t, key, content.content)
		}
	}
}

// answering is a server that answers all requests alike.
func answering(t *testing.T, status int, contentType, body string) (string, *atomic.Int64) {
	t.Helper()
	asked := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, q.Body)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// Some servers name characters that XML 1.0 does not have.
func TestAnswersAreReadLeniently(t *testing.T) {
	endpoint, _ := answering(t, 200, "application/xml", `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>`+
		"<IsTruncated>false</IsTruncated><Contents><Key>a&#x8;b&#1;\x01</Key></Contents><Contents><Key>c&#x41;\xff</Key></Contents></ListBucketResult>")
	u := newUploader(t, Options{Bucket: testBucket, Endpoint: endpoint, PathStyle: true, CredentialsDir: s3test.CredentialsDir(t, "id", "secret")}, 0)
	keys, err := u.client.List(t.Context(), "")
	if err != nil || len(keys) != 2 || keys[1] != "cA\uFFFD" {
		t.Errorf("List = %q, %v", keys, err)
	}
}

// An answer that cannot be read is asked for once: the server has done what it was asked.
func TestUnreadableAnswersAreNotAskedForAgain(t *testing.T) {
	endpoint, asked := answering(t, 200, "application/xml", "<ListBucketResult><Contents><Key>a</Contents>")
	u := newUploader(t, Options{Bucket: testBucket, Endpoint: endpoint, PathStyle: true, CredentialsDir: s3test.CredentialsDir(t, "id", "secret")}, 0)
	_, err := u.client.List(t.Context(), "")
	wantError(t, err, Source, ReasonAnswerUnreadable)
	if asked.Load() != 1 {
		t.Errorf("asked %d times, want once", asked.Load())
	}
	_, err = u.Upload(t.Context(), newFile(20*mebi).file("large"))
	var e *Error
	if !errors.As(err, &e) || e.Reason != ReasonAnswerUnreadable {
		t.Errorf("Upload: %v, want it to say that the answer is unreadable", err)
	}
}

func TestMistakesInTheEndpointAreNamed(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	html, _ := answering(t, 404, "text/html", "<html>nothing here</html>")
	for _, c := range []struct {
		name, endpoint string
		pathStyle      bool
		want           string
	}{
		{"http to a TLS port", strings.Replace(secure.URL, "https", "http", 1), true, "use https"},
		{"no wildcard", "http://nowhere.invalid", false, "--path-style"},
		{"no S3", html, true, "speaks S3"},
	} {
		u := newUploader(t, Options{Bucket: testBucket, Endpoint: c.endpoint, PathStyle: c.pathStyle, CredentialsDir: s3test.CredentialsDir(t, "id", "secret")}, 0)
		err := u.client.Probe(t.Context())
		if err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
		_, err = u.Upload(t.Context(), newFile(10).file("key"))
		if err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
			t.Errorf("%s: Upload: %v, want %q in it", c.name, err, c.want)
		}
	}
}

// MinIO finds uploads by their whole key only.
func TestServersThatFindUploadsByTheWholeKeyAreKnown(t *testing.T) {
	r := newRig(t, nil)
	for _, finds := range []bool{true, false} {
		f := fault(func(w http.ResponseWriter, q *http.Request) bool {
			if finds || !q.URL.Query().Has("uploads") || q.Method != http.MethodGet || !strings.HasSuffix(q.URL.Query().Get("prefix"), "/") {
				return false
			}
			_, _ = io.WriteString(w, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
			return true
		})
		r.proxy.fault.Store(&f)
		got, err := r.client.FindsUploads(t.Context(), "base/", "base/probe")
		if err != nil || got != finds {
			t.Errorf("FindsUploads = %v, %v, want %v", got, err, finds)
		}
		r.wantNoUploads(t)
	}
}
