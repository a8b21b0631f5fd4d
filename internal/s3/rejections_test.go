package s3

import (
	"net/http"
	"strings"
	"testing"

	"cargoship.dev/operator/internal/s3/s3test"
)

// rejecting has the server reject objects whose keys hold "bad".
func rejecting(r *rig, status int, code string) {
	r.proxy.Do(func(w http.ResponseWriter, q *http.Request) bool {
		return strings.Contains(q.URL.Path, "bad") && s3test.Refuse(status, code)(w, q)
	})
}

// putFile stores an object of a file, and returns the error as the uploader judges it.
func putFile(t *testing.T, r *rig, key string) *Error {
	t.Helper()
	b := r.ContentBody(ChecksumCRC64NVME, []byte("x"), Section{Key: key})
	_, err := r.PutFile(t.Context(), Object{Key: key}, ChecksumCRC64NVME, b)
	if err == nil {
		return nil
	}
	return r.Judge(t.Context(), opPut, key, err)
}

// One object is rejected, with whatever code, and others are accepted in between.
func TestARejectionOfOneObjectIsNoTroubleOfAll(t *testing.T) {
	for code, status := range map[string]int{
		"InvalidArgument": 400, "InvalidRequest": 400, "NotImplemented": 501, "AccessDenied": 403, "SomethingOfItsOwn": 400, "OddName": 403,
	} {
		t.Run(code, func(t *testing.T) {
			r := newRig(t)
			rejecting(r, status, code)
			if e := putFile(t, r, "bad\nname"); !e.Blocks() {
				t.Errorf("the first rejection is %v, want one that blocks", e)
			}
			if e := putFile(t, r, "bad\nname"); !e.Blocks() {
				t.Errorf("with nothing accepted in between it is %v, want one that blocks", e)
			}
			if e := putFile(t, r, "good"); e != nil {
				t.Fatal(e)
			}
			wantError(t, putFile(t, r, "bad\nname"), Source, ReasonObjectRejected)
			if e := putFile(t, r, "another bad"); !e.Blocks() {
				t.Errorf("the first rejection of another is %v, want one that blocks", e)
			}
		})
	}
}

// What is accepted in between says nothing about trouble of all.
func TestRejectionsThatConcernAllObjects(t *testing.T) {
	file := func(t *testing.T, r *rig, key string) error {
		if e := putFile(t, r, key); e != nil {
			return e
		}
		return nil
	}
	bookkeeping := func(t *testing.T, r *rig, key string) error { return r.Put(t.Context(), key, []byte("x")) }
	for name, c := range map[string]struct {
		status        int
		code          string
		rejected, put func(*testing.T, *rig, string) error
	}{
		"no room":                      {400, "QuotaExceeded", file, file},
		"no room, by status":           {507, "", file, file},
		"only bookkeeping is accepted": {400, "InvalidStorageClass", file, bookkeeping},
		"bookkeeping is rejected":      {403, "AccessDenied", bookkeeping, file},
		"credentials":                  {403, "InvalidAccessKeyId", file, file},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			rejecting(r, c.status, c.code)
			for range 3 {
				if e := asAny(t, c.rejected(t, r, "bad")); !e.Blocks() {
					t.Errorf("it is %v, want one that blocks", e)
				}
				if err := c.put(t, r, "good"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// The right to write does not go with that to read.
func TestARejectedLookUpStaysOneOfPermission(t *testing.T) {
	r := newRig(t)
	rejecting(r, 403, "AccessDenied")
	for range 3 {
		_, err := r.Stat(t.Context(), "bad")
		wantError(t, err, Permission, ReasonPermissionDenied)
		if e := putFile(t, r, "good"); e != nil {
			t.Fatal(e)
		}
	}
}
