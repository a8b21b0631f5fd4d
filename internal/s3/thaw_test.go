package s3

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/s3/s3test"
	"cargoship.dev/operator/lab"
	"cargoship.dev/operator/lab/labtest"
)

// glacierRig is a rig whose server has the objects below frozen/ in an archive storage class.
func glacierRig(t *testing.T, class string) (*lab.Glacier, *rig) {
	t.Helper()
	r := newRig(t)
	g := &lab.Glacier{Class: class, Archived: func(_, key string) bool { return strings.HasPrefix(key, "frozen/") }}
	p := s3test.NewProxy(t, labtest.NewGlacier(t, r.server.Endpoint, g))
	r.proxy, r.Client = p, newClient(t, Options{
		Bucket: testBucket, Region: r.server.Region, Endpoint: p.URL, PathStyle: true, CredentialsDir: r.server.CredentialsDir(t),
	})
	for _, key := range []string{"frozen/a b", "plain"} {
		if err := r.Put(t.Context(), key, []byte("content")); err != nil {
			t.Fatal(err)
		}
	}
	return g, r
}

func (r *rig) storage(t *testing.T, key string) Storage {
	t.Helper()
	info, err := r.Stat(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return info.Storage
}

func TestAnArchivedObjectIsThawed(t *testing.T) {
	g, r := glacierRig(t, "GLACIER")
	const key = "frozen/a b"
	ask := ThawRequest{Days: 3, Tier: "Bulk"}
	if s := r.storage(t, key); !s.Frozen || s.Thawing || s.Class != "GLACIER" {
		t.Errorf("before it was asked for: %+v", s)
	}
	_, err := r.OpenRange(t.Context(), key, "", 0, 7)
	wantError(t, err, Source, ReasonObjectFrozen)
	for _, again := range []bool{false, true} { // the second answer is that it goes on already
		if err := r.Thaw(t.Context(), key, r.storage(t, key), ask); err != nil {
			t.Fatalf("asked again: %t: %v", again, err)
		}
	}
	if s := r.storage(t, key); s.Frozen || !s.Thawing {
		t.Errorf("while it is thawed: %+v", s)
	}
	_, err = r.OpenRange(t.Context(), key, "", 0, 7)
	wantError(t, err, Source, ReasonObjectFrozen)
	g.Thaw(nil)
	s := r.storage(t, key)
	if left := time.Until(s.Until); s.Frozen || s.Thawing || left < 71*time.Hour || left > 73*time.Hour {
		t.Errorf("once it is thawed: %+v", s)
	}
	body, err := r.Get(t.Context(), key)
	if err != nil || string(body) != "content" {
		t.Errorf("it holds %q, %v", body, err)
	}
	if err := r.Thaw(t.Context(), key, s, ask); err != nil {
		t.Errorf("keep the copy for longer: %v", err)
	}
	if got := g.Asked(); !slices.Equal(got, []string{testBucket + "/frozen/a b Bulk 3"}) {
		t.Errorf("asked for %q", got)
	}
}

func TestWhatCannotBeThawed(t *testing.T) {
	_, r := glacierRig(t, "DEEP_ARCHIVE")
	if s := r.storage(t, "plain"); s.Frozen || s.Thawing {
		t.Errorf("an object that is not archived: %+v", s)
	}
	err := r.Thaw(t.Context(), "plain", Storage{}, ThawRequest{Days: 1, Tier: "Bulk"})
	wantError(t, err, Source, ReasonObjectFrozen)
	frozen := r.storage(t, "frozen/a b")
	err = r.Thaw(t.Context(), "frozen/a b", frozen, ThawRequest{Days: 1, Tier: "Expedited"})
	wantError(t, err, Configuration, ReasonConfigurationRejected)
	r.proxy.Do(s3test.Refuse(http.StatusServiceUnavailable, "GlacierExpeditedRetrievalNotAvailable"))
	before := r.proxy.Seen()
	err = r.Thaw(t.Context(), "frozen/a b", frozen, ThawRequest{Days: 1, Tier: "Expedited"})
	wantError(t, err, Configuration, ReasonThawUnavailable)
	if asked := r.proxy.Seen() - before; asked != 1 {
		t.Errorf("what is not throttling was asked %d times", asked)
	}
	r.proxy.Do(s3test.Refuse(http.StatusForbidden, "AccessDenied"))
	e := asError(t, r.Thaw(t.Context(), "frozen/a b", frozen, ThawRequest{Days: 1, Tier: "Bulk"}), Permission, ReasonPermissionDenied)
	if !strings.Contains(e.Error(), "s3:RestoreObject") {
		t.Errorf("the error does not name the action: %v", e)
	}
}

// The test server itself knows no RestoreObject.
func TestAServerThatCannotThawIsNamed(t *testing.T) {
	r := newRig(t)
	if err := r.Put(t.Context(), "key", nil); err != nil {
		t.Fatal(err)
	}
	err := r.Thaw(t.Context(), "key", Storage{}, ThawRequest{Days: 1, Tier: "Bulk"})
	wantError(t, err, Configuration, ReasonThawUnavailable)
}

func TestTheStateOfAThawIsRead(t *testing.T) {
	for header, want := range map[string]struct{ ongoing, until, asked bool }{
		"":                        {},
		`nonsense`:                {},
		`ongoing-request="`:       {},
		`ongoing-request="true"`:  {ongoing: true, asked: true},
		`ongoing-request="false"`: {asked: true},
		`ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`: {until: true, asked: true},
		`ongoing-request="false", expiry-date="some day"`:                      {asked: true},
	} {
		ongoing, until, asked := parseRestore(header)
		if ongoing != want.ongoing || until.IsZero() == want.until || asked != want.asked {
			t.Errorf("%q is read as %t, %v, %t", header, ongoing, until, asked)
		}
	}
}
