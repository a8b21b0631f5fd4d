package worker

import (
	"errors"
	"testing"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// Uploads that can't be listed while the destination is away are looked for again; of a server that never lists
// them they are given up.
func TestWhatIsLeftIsLookedForAgain(t *testing.T) {
	b := newBench(t)
	e := NewEngine(b.options)
	layout, err := b.options.Layout(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	content := archive.Archive{Prefix: "a", Entries: []archive.Entry{{Path: "a/large", Size: 64 << 20}}}
	key := layout.Key("a", "a/large")
	b.dest.open = []s3.OpenUpload{{Key: key, UploadID: "left"}}
	for _, c := range []struct {
		name   string
		meets  *s3.Error
		blocks bool
		found  int
	}{
		{"an endpoint that is away", &s3.Error{Class: s3.Configuration, Reason: s3.ReasonEndpointUnreachable}, true, 0},
		{"expired credentials", &s3.Error{Class: s3.Credentials, Reason: s3.ReasonCredentialsExpired}, true, 0},
		{"a moment's trouble", &s3.Error{Class: s3.Transient, Reason: s3.ReasonTimeout}, false, 0},
		{"nothing", nil, false, 1},
		{"a refusal", &s3.Error{Class: s3.Permission, Reason: s3.ReasonPermissionDenied}, false, 0},
		{"nothing, after a refusal", nil, false, 0},
	} {
		b.dest.unlisted = nil
		if c.meets != nil {
			c.meets.Err = errors.New("it fails")
			b.dest.unlisted = c.meets
		}
		if err := e.findLeft(t.Context(), layout, content); (err != nil) != c.blocks {
			t.Errorf("%s: the error is %v", c.name, err)
		}
		if taken := e.left.take(key); len(taken) != c.found {
			t.Errorf("%s: found %v, want %d", c.name, taken, c.found)
		}
	}
}

// What an attempt was to resume is there for the next, if it fails before it has come to it.
func TestWhatWasTakenIsGivenBack(t *testing.T) {
	e := NewEngine(newBench(t).options)
	first, second := s3.OpenUpload{Key: "key", UploadID: "first"}, s3.OpenUpload{Key: "key", UploadID: "second"}
	e.leave(&s3.Error{Class: s3.Configuration, LeftOpen: &second}, []s3.OpenUpload{first, second})
	if left := e.left.take("key"); len(left) != 2 {
		t.Errorf("%v are left, want both", left)
	}
	if e.leave(nil, []s3.OpenUpload{first}); len(e.left.take("key")) != 0 {
		t.Error("what a file was resumed from is kept after its end")
	}
}
