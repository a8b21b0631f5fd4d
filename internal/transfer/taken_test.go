package transfer

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// isConditional chooses requests that must not replace an object.
func isConditional(r *http.Request) bool { return r.Header.Get("If-None-Match") == anyETag }

func TestNothingIsOverwritten(t *testing.T) {
	for name, knows := range map[string]bool{"a server that knows conditions": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.NoOverwrite = true })
			if !knows {
				r.proxy.times(always, isConditional, refuse(501, "NotImplemented"))
			}
			for key, size := range map[string]int{"small": 5, "large": 20 * mebi} {
				first, other := newFile(size), newFile(size+1)
				if _, err := r.Upload(t.Context(), first.file(key)); err != nil {
					t.Fatalf("Upload of %s: %v", key, err)
				}
				_, err := r.Upload(t.Context(), other.file(key))
				wantError(t, err, Source, ReasonObjectExists)
				r.wantStored(t, key, first.content)
			}
			if asked := r.proxy.requests(isConditional); asked == 0 {
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
	r := newRig(t, func(o *Options) { o.NoOverwrite = true })
	small, large := newFile(100), newFile(20*mebi)
	r.proxy.times(1, isPut, r.proxy.lose)
	if _, err := r.Upload(t.Context(), small.file("small")); err != nil {
		t.Errorf("Upload: %v", err)
	}
	r.proxy.times(1, isComplete, r.proxy.lose)
	if _, err := r.Upload(t.Context(), large.file("large")); err != nil {
		t.Errorf("Upload: %v", err)
	}
	r.wantStored(t, "small", small.content)
	r.wantStored(t, "large", large.content)
	r.wantNoUploads(t)
}

// A server that takes no notice of conditions has nothing overwritten all the same.
func TestNothingIsOverwrittenWhereConditionsAreIgnored(t *testing.T) {
	r := newRig(t, func(o *Options) { o.NoOverwrite = true })
	// The signature covers the header, so the object is taken out of its way instead.
	ignore := fault(func(w http.ResponseWriter, q *http.Request) bool {
		if isConditional(q) {
			_ = os.Remove(r.server.Path(testBucket, strings.TrimPrefix(q.URL.Path, "/"+testBucket+"/")))
		}
		return false
	})
	r.proxy.fault.Store(&ignore)
	for _, key := range []string{"a", "b"} {
		first := newFile(5)
		if _, err := r.Upload(t.Context(), first.file(key)); err != nil {
			t.Fatal(err)
		}
		_, err := newUploader(t, r.client.options, 0).Upload(t.Context(), newFile(6).file(key))
		wantError(t, err, Source, ReasonObjectExists)
		_, err = r.Upload(t.Context(), newFile(7).file(key))
		wantError(t, err, Source, ReasonObjectExists)
		r.wantStored(t, key, first.content)
	}
}

// An object of parts is recorded with the ETag that the server keeps, not the one it said.
func TestTheETagThatIsKeptIsRecorded(t *testing.T) {
	r := newRig(t, nil)
	r.silent()
	inner := *r.proxy.fault.Load()
	odd := fault(func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodHead {
			r.proxy.backend.ServeHTTP(&silentWriter{ResponseWriter: w, etag: `"kept"`}, q)
			return true
		}
		return inner(w, q)
	})
	r.proxy.fault.Store(&odd)
	receipt, err := r.Upload(t.Context(), newFile(20*mebi).file("parts"))
	if err != nil || receipt.ETag != "kept" {
		t.Errorf("receipt = %+v, %v, want the ETag that is kept", receipt, err)
	}
}
