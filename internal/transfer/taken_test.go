package transfer

import (
	"net/http"
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
