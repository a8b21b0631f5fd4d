package upload

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cargoship.dev/operator/internal/s3/s3test"

	"cargoship.dev/operator/internal/s3"
)

// A server's own code for what meets every object blocks; for what it has against one, the
// others go on.
func TestUnknownRefusalsAreOfTheDestinationUntilOthersAreTaken(t *testing.T) {
	r := newRig(t, nil)
	r.proxy.Times(s3test.Always, s3test.IsPut, s3test.Refuse(400, "WriteOncePolicyViolated"))
	for range 2 {
		for _, key := range []string{"a", "b", "c"} {
			_, err := r.Upload(t.Context(), newFile(10).file(key))
			if e := asError(t, err, s3.Configuration, s3.ReasonConfigurationRejected); !strings.Contains(e.Error(), "WriteOncePolicyViolated") {
				t.Errorf("%v does not have the server's words", e)
			}
		}
	}
	r.proxy.Times(s3test.Always, func(q *http.Request) bool { return s3test.IsPut(q) && strings.HasSuffix(q.URL.Path, "/b") }, s3test.Refuse(400, "OddNameRefused"))
	if _, err := r.Upload(t.Context(), newFile(10).file("a")); err != nil {
		t.Fatal(err)
	}
	_, err := r.Upload(t.Context(), newFile(10).file("b"))
	wantError(t, err, s3.Source, s3.ReasonObjectRejected)
}

// A conflict at the end means that the upload is lost: to ask again would not end.
func TestConflictAtTheEndMeansANewUpload(t *testing.T) {
	for _, keep := range []bool{false, true} {
		r := newRig(t, func(o *s3.Options) { o.NoOverwrite = true })
		r.keepOpen = keep
		r.proxy.Times(1, s3test.IsComplete, s3test.Refuse(409, "ConditionalRequestConflict"))
		f := newFile(20 * mebi)
		_, err := r.Upload(t.Context(), f.file("contested"))
		wantError(t, err, s3.Transient, s3.ReasonUploadConflict)
		if n := r.proxy.Requests(s3test.IsComplete); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		r.wantNothing(t, "contested")
		if _, err := r.Upload(t.Context(), f.file("contested")); err != nil {
			t.Errorf("the next upload: %v", err)
		}
	}
}

// An upload that was created without a checksum takes none at its end. Resumed again and again it
// would never be completed.
func TestUploadOfAnotherChecksumIsNotResumedTwice(t *testing.T) {
	r := newRig(t, nil)
	r.keepOpen = true
	f := newFile(20 * mebi)
	if err := r.client.Put(t.Context(), "small", []byte("checksums are confirmed")); err != nil {
		t.Fatal(err)
	}
	left, err := r.client.CreateUpload(t.Context(), s3.Object{Key: "other"}, s3.ChecksumMD5)
	if err != nil {
		t.Fatal(err)
	}
	part := s3.ContentBody(s3.ChecksumMD5, f.content[:8*mebi], s3.Section{})
	if _, err := r.client.UploadPart(t.Context(), left, 1, s3.ChecksumMD5, part); err != nil {
		t.Fatal(err)
	}
	file := f.file("other")
	file.ResumableUploads = []s3.OpenUpload{left}
	_, err = r.Upload(t.Context(), file)
	wantError(t, err, s3.Transient, s3.ReasonUploadConflict)
	r.wantNothing(t, "other")
	if _, err := r.Upload(t.Context(), f.file("other")); err != nil {
		t.Errorf("the next upload: %v", err)
	}
}

// muteUploads hides how the server checks uploads.
func muteUploads(r *rig, more s3test.Fault) {
	f := s3test.Fault(func(w http.ResponseWriter, q *http.Request) bool {
		if more != nil && more(w, q) {
			return true
		}
		if q.Method == http.MethodGet {
			r.proxy.Backend.ServeHTTP(&s3test.SilentWriter{ResponseWriter: w}, q)
			return true
		}
		return false
	})
	r.proxy.Do(f)
}

// The answer to a creation is lost on a server that does not say how it checks uploads.
func TestLostCreationsAreSweptOnEveryServer(t *testing.T) {
	r := newRig(t, nil)
	var lost atomic.Bool
	muteUploads(r, func(w http.ResponseWriter, q *http.Request) bool {
		return s3test.IsCreate(q) && lost.CompareAndSwap(false, true) && r.proxy.Lose(w, q)
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
				if !s3test.IsCreate(q) {
					return false
				}
				cancel()
				time.Sleep(delay)
				r.proxy.Backend.ServeHTTP(w, q.WithContext(context.WithoutCancel(q.Context())))
				return true
			})
			begun := time.Now()
			_, err := r.Upload(ctx, newFile(20*mebi).file("interrupted"))
			if e := asError(t, err, s3.Transient, s3.ReasonCanceled); !strings.Contains(e.Error(), "stopped") {
				t.Errorf("%v does not say that it was stopped", e)
			}
			if took := time.Since(begun); took > 15*time.Second {
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
	file.ResumableUploads = []s3.OpenUpload{upload}
	if _, err := r.Upload(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	r.wantNoUploads(t)
}

// Who may do nothing but write can copy.
func TestPutObjectAloneIsEnough(t *testing.T) {
	for _, noOverwrite := range []bool{false, true} {
		r := newRig(t, func(o *s3.Options) { o.NoOverwrite = noOverwrite })
		f := s3test.Fault(func(w http.ResponseWriter, q *http.Request) bool {
			return !s3test.IsPut(q) && !s3test.IsPart(q) && !s3test.IsCreate(q) && !s3test.IsComplete(q) && s3test.Refuse(403, "AccessDenied")(w, q)
		})
		r.proxy.Do(f)
		if err := r.client.Probe(t.Context()); err != nil {
			t.Errorf("Probe: %v", err)
		}
		for key, size := range map[string]int{"small": 10, "large": 20 * mebi} {
			content := newFile(size)
			file := content.file(key)
			file.MayExist = true
			file.ResumableUploads = []s3.OpenUpload{{Key: key, UploadID: "unknown"}}
			if _, err := r.Upload(t.Context(), file); err != nil {
				t.Errorf("Upload of the %s file: %v", key, err)
			}
			r.wantStored(t, key, content.content)
		}
	}
}

// A creation whose answer cannot be read fails for that.
func TestUnreadableAnswersToCreationsAreNamed(t *testing.T) {
	r := newRig(t, nil)
	r.proxy.Times(s3test.Always, s3test.IsCreate, s3test.AnswerXML("<InitiateMultipartUploadResult><UploadId>a</InitiateMultipartUploadResult>"))
	_, err := r.Upload(t.Context(), newFile(20*mebi).file("large"))
	wantError(t, err, s3.Source, s3.ReasonAnswerUnreadable)
}

// Something between here and the server answers in its place: what was to be assembled is not.
func TestACompletionThatAProxyAnswersIsNone(t *testing.T) {
	for name, body := range map[string]string{
		"page":         "<html><body>please log in</body></html>",
		"broken page":  "<!doctype html><br><p>please log in",
		"empty result": "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>",
		"declaration":  `<?xml version="1.0" encoding="UTF-8"?>` + "\n",
		"blanks":       "   ",
		"another ETag": `<CompleteMultipartUploadResult><ETag>"abc"</ETag></CompleteMultipartUploadResult>`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			f := newFile(17 * mebi)
			// An object of the same size that stands proves nothing.
			if name == "blanks" {
				other := newFile(17 * mebi)
				other.content[0]++
				if _, err := r.Upload(t.Context(), other.file("key")); err != nil {
					t.Fatal(err)
				}
			}
			r.proxy.Times(s3test.Always, s3test.IsComplete, s3test.AnswerXML(body))
			if _, err := r.Upload(t.Context(), f.file("key")); err == nil {
				t.Error("Upload succeeded without an object")
			}
			r.proxy.Times(1, s3test.IsComplete, s3test.AnswerXML(body))
			if _, err := r.Upload(t.Context(), f.file("key")); err != nil {
				t.Errorf("Upload, whose completion fails once: %v", err)
			}
			r.wantStored(t, "key", f.content)
			r.wantNoUploads(t)
		})
	}
}

// The object is there although nobody can read that it is.
func TestACompletionWithoutAReadableAnswerIsProvenByTheObject(t *testing.T) {
	r := newRig(t, nil)
	r.proxy.Times(s3test.Always, s3test.IsComplete, func(w http.ResponseWriter, q *http.Request) bool {
		r.proxy.Backend.ServeHTTP(httptest.NewRecorder(), q)
		return s3test.AnswerXML("<html></html>")(w, q)
	})
	f := newFile(17 * mebi)
	if _, err := r.Upload(t.Context(), f.file("key")); err != nil {
		t.Fatal(err)
	}
	r.wantStored(t, "key", f.content)
}
