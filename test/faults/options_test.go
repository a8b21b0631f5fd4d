package faults

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/lab"
)

// TestRejectedOptionsEndTheCopyAtOnce has the server reject what it was asked for: that is
// said once, and nothing is tried again.
func TestRejectedOptionsEndTheCopyAtOnce(t *testing.T) {
	for name, arguments := range map[string][]string{
		"objects": {"--storage-class", "BOGUS"},
		"tar":     {"--storage-class", "BOGUS", "--packing", "tar"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			discard := lab.NewDiscard()
			r := newRigBefore(t, rejectingClasses(discard), lab.Conditions{})
			r.mixture(t)
			begun := time.Now()
			o := r.copy(t, arguments...)
			took := time.Since(begun)
			wantFailed(t, o, "InvalidStorageClass")
			if said := strings.Count(o.stderr, "InvalidStorageClass"); said != 1 || took > 20*time.Second {
				t.Errorf("it was said %d times, after %v: %s", said, took, o.stderr)
			}
			if open := r.Stats().Total.OpenUploads; open != 0 {
				t.Errorf("%d uploads are left open", open)
			}
		})
	}
}

// rejectingClasses answers as Amazon S3 does to a storage class that there is not.
func rejectingClasses(server http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Storage-Class") != "BOGUS" {
			server.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `<Error><Code>InvalidStorageClass</Code><Message>The storage class you specified is not valid</Message></Error>`)
	})
}
