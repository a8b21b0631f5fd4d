package upload

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"cargoship.dev/operator/internal/s3/s3test"

	"cargoship.dev/operator/internal/s3"
)

// isConditional chooses requests that must not replace an object.
func isConditional(r *http.Request) bool { return r.Header.Get("If-None-Match") == "*" }

func TestNothingIsOverwritten(t *testing.T) {
	for name, knows := range map[string]bool{"a server that knows conditions": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *s3.Options) { o.NoOverwrite = true })
			if !knows {
				r.proxy.Times(s3test.Always, isConditional, s3test.Refuse(501, "NotImplemented"))
			}
			for key, size := range map[string]int{"small": 5, "large": 20 * mebi} {
				first, other := newFile(size), newFile(size+1)
				if _, err := r.Upload(t.Context(), first.file(key)); err != nil {
					t.Fatalf("Upload of %s: %v", key, err)
				}
				_, err := r.Upload(t.Context(), other.file(key))
				wantError(t, err, s3.Source, s3.ReasonObjectExists)
				r.wantStored(t, key, first.content)
			}
			if asked := r.proxy.Requests(isConditional); asked == 0 {
				t.Error("no request was made conditional")
			}
			if err := r.client.Put(t.Context(), "small", []byte("bookkeeping")); err != nil {
				t.Errorf("Put of a bookkeeping object: %v", err)
			}
			r.wantNoUploads(t)
		})
	}
}

// An object that stands because the answer to an attempt was lost is the file's own.
func TestWhatWasStoredBeforeTheAnswerWasLostIsKept(t *testing.T) {
	r := newRig(t, func(o *s3.Options) { o.NoOverwrite = true })
	small, large := newFile(100), newFile(20*mebi)
	r.proxy.Times(1, s3test.IsPut, r.proxy.Lose)
	if _, err := r.Upload(t.Context(), small.file("small")); err != nil {
		t.Errorf("Upload: %v", err)
	}
	r.proxy.Times(1, s3test.IsComplete, r.proxy.Lose)
	if _, err := r.Upload(t.Context(), large.file("large")); err != nil {
		t.Errorf("Upload: %v", err)
	}
	r.wantStored(t, "small", small.content)
	r.wantStored(t, "large", large.content)
	r.wantNoUploads(t)
}

// A server that takes no notice of conditions has nothing overwritten all the same.
func TestNothingIsOverwrittenWhereConditionsAreIgnored(t *testing.T) {
	r := newRig(t, func(o *s3.Options) { o.NoOverwrite = true })
	// The signature covers the header, so the object is taken out of its way instead.
	ignore := s3test.Fault(func(w http.ResponseWriter, q *http.Request) bool {
		if isConditional(q) {
			_ = os.Remove(r.server.Path(testBucket, strings.TrimPrefix(q.URL.Path, "/"+testBucket+"/")))
		}
		return false
	})
	r.proxy.Do(ignore)
	for _, key := range []string{"a", "b"} {
		first := newFile(5)
		if _, err := r.Upload(t.Context(), first.file(key)); err != nil {
			t.Fatal(err)
		}
		_, err := newUploader(t, r.options, 0).Upload(t.Context(), newFile(6).file(key))
		wantError(t, err, s3.Source, s3.ReasonObjectExists)
		_, err = r.Upload(t.Context(), newFile(7).file(key))
		wantError(t, err, s3.Source, s3.ReasonObjectExists)
		r.wantStored(t, key, first.content)
	}
}

// An object of parts is recorded with the ETag that the server keeps, not the one it said.
func TestTheETagThatIsKeptIsRecorded(t *testing.T) {
	r := newRig(t, nil)
	inner := r.silent()
	odd := s3test.Fault(func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodHead {
			r.proxy.Backend.ServeHTTP(&s3test.SilentWriter{ResponseWriter: w, ETag: `"kept"`}, q)
			return true
		}
		return inner(w, q)
	})
	r.proxy.Do(odd)
	receipt, err := r.Upload(t.Context(), newFile(20*mebi).file("parts"))
	if err != nil || receipt.ETag != "kept" {
		t.Errorf("receipt = %+v, %v, want the ETag that is kept", receipt, err)
	}
}
