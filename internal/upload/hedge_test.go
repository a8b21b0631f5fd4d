package upload

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/s3/s3test"

	"cargoship.dev/operator/internal/s3"
)

// slowAnswer is how long the requests take that are slow.
const slowAnswer = 30 * time.Second

// slow holds requests back before they are passed on, or until the client has gone, which a server notices
// once it has read all of a request.
func slow(_ http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return true
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	select {
	case <-time.After(slowAnswer):
		return false
	case <-r.Context().Done():
		return true
	}
}

// ofKey chooses the requests that put an object.
func ofKey(key string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/"+key)
	}
}

// warm sends so many files that the rig knows what is late.
func (r *rig) warm(t *testing.T) {
	t.Helper()
	for i := range hedgeSamples {
		if _, err := r.Upload(t.Context(), newFile(1000+i).file(fmt.Sprintf("warm/%d", i))); err != nil {
			t.Fatal(err)
		}
	}
}

// wantHedges fails unless so many requests were sent twice, all of which have ended well.
func (r *rig) wantHedges(t *testing.T, want int64) PrefixStats {
	t.Helper()
	s := r.meter.Snapshot(0)[0]
	if s.Hedged != want || s.Failed+s.Throttled > 0 || s.Accepted != s.Started || r.meter.Hedges() != want {
		t.Errorf("%d requests were sent twice, want %d; of %d %d were accepted, %d failed, %d throttled",
			s.Hedged, want, s.Started, s.Accepted, s.Failed, s.Throttled)
	}
	return s
}

func TestWhatIsLateIsSentTwice(t *testing.T) {
	r := newRig(t, nil)
	r.warm(t)
	before := r.meter.Snapshot(0)[0]
	r.proxy.Times(1, ofKey("late"), slow)
	f := newFile(1500)
	begun := time.Now()
	receipt, err := r.Upload(t.Context(), f.file("late"))
	if took := time.Since(begun); err != nil || took > slowAnswer/2 {
		t.Errorf("Upload took %v: %v", took, err)
	}
	s := r.wantHedges(t, 1)
	if n := r.proxy.Requests(ofKey("late")); n != 2 {
		t.Errorf("the file was sent %d times, want 2", n)
	}
	if receipt.Checksum != checksumOf(f.content) || s.Bytes-before.Bytes != int64(len(f.content)) {
		t.Errorf("receipt %+v, %d bytes counted", receipt, s.Bytes-before.Bytes)
	}
	if s.ServiceP99 > slowAnswer/2 {
		t.Errorf("the 99th percentile is %v: what was cut off is in it", s.ServiceP99)
	}
	r.wantStored(t, "late", f.content)
}

// twice holds the first request of the key "late" back until a second one has come, which is answered otherwise.
func (r *rig) twice(second s3test.Fault) {
	var n atomic.Int64
	came := make(chan struct{})
	r.proxy.Do(func(w http.ResponseWriter, q *http.Request) bool {
		switch {
		case !ofKey("late")(q):
			return false
		case n.Add(1) == 2:
			close(came)
			return second(w, q)
		}
		select {
		case <-came:
			time.Sleep(leastLate) // Time for the answer to the second.
		case <-time.After(slowAnswer):
		}
		return false
	})
}

// TestALateAnswerIsTaken has the first attempt answer while the second is under way.
func TestALateAnswerIsTaken(t *testing.T) {
	r := newRig(t, nil)
	r.warm(t)
	r.twice(slow)
	f := newFile(1500)
	begun := time.Now()
	if _, err := r.Upload(t.Context(), f.file("late")); err != nil || time.Since(begun) > slowAnswer/2 {
		t.Errorf("Upload took %v: %v", time.Since(begun), err)
	}
	r.wantHedges(t, 1)
	r.wantStored(t, "late", f.content)
}

// TestASecondAttemptThatFails leaves the first alone.
func TestASecondAttemptThatFails(t *testing.T) {
	r := newRig(t, nil)
	r.warm(t)
	r.twice(s3test.Refuse(http.StatusForbidden, "AccessDenied"))
	f := newFile(1500)
	if _, err := r.Upload(t.Context(), f.file("late")); err != nil {
		t.Errorf("Upload: %v", err)
	}
	if s := r.meter.Snapshot(0)[0]; s.Hedged != 1 || s.Failed != 1 {
		t.Errorf("%d requests were sent twice, %d failed, want one of each", s.Hedged, s.Failed)
	}
	r.wantStored(t, "late", f.content)
}

func TestALatePartIsSentTwice(t *testing.T) {
	r := newRig(t, nil)
	// Late enough that on a busy machine no other part is.
	r.hedger.recent = known(kind{part: true, size: 4}, slowAnswer/30)
	if _, err := r.Upload(t.Context(), newFile(1).file("one")); err != nil { // Tells what ETags are.
		t.Fatal(err)
	}
	r.hedger.tokens = 1
	r.proxy.Times(1, func(q *http.Request) bool { return q.URL.Query().Get("partNumber") == "2" }, slow)
	f := newFile(25 * mebi)
	begun := time.Now()
	receipt, err := r.Upload(t.Context(), f.file("late"))
	if took := time.Since(begun); err != nil || took > slowAnswer*3/4 {
		t.Errorf("Upload took %v: %v", took, err)
	}
	if receipt.Parts != 4 {
		t.Errorf("receipt %+v, want 4 parts", receipt)
	}
	r.wantHedges(t, 1)
	r.wantStored(t, "late", f.content)
	r.wantNoUploads(t)
}

// known is what a hedger knows of a kind of requests that take so long.
func known(k kind, took time.Duration) map[kind]*recent {
	r := &recent{fresh: newHistogram(), former: newHistogram()}
	for range hedgeSamples {
		r.add(took)
	}
	return map[kind]*recent{k: r}
}

// TestWhatIsNotSentTwice: each has the answer come late, and a reason against a second attempt.
func TestWhatIsNotSentTwice(t *testing.T) {
	for name, c := range map[string]struct {
		options func(*s3.Options)
		change  func(*rig, *memoryFile)
	}{
		"no overwriting": {options: func(o *s3.Options) { o.NoOverwrite = true }},
		"least time":     {options: func(o *s3.Options) { o.StorageClass = "STANDARD_IA" }},
		"versions": {change: func(r *rig, _ *memoryFile) {
			r.versioning(`<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`)
		}},
		"no answer to it": {change: func(r *rig, _ *memoryFile) { r.versioning(`<ListBucketResult></ListBucketResult>`) }},
		"no budget":       {change: func(r *rig, _ *memoryFile) { r.hedger.tokens = 0 }},
		"no room": {change: func(r *rig, _ *memoryFile) {
			r.gate.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 1}})
		}},
		"changed": {change: func(_ *rig, f *memoryFile) {
			f.change = func(call int) error {
				if call == 0 {
					return nil
				}
				return s3.ChangedError{Text: "changed"}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.options)
			r.warm(t)
			f := newFile(1500)
			if c.change != nil {
				c.change(r, f)
			}
			r.delay(ofKey("late"), 4*leastLate)
			if _, err := r.Upload(t.Context(), f.file("late")); err != nil {
				t.Errorf("Upload: %v", err)
			}
			if n := r.meter.Hedges(); n != 0 {
				t.Errorf("%d requests were sent twice, want none", n)
			}
		})
	}
}

// TestTheBucketIsNotAskedAgainAtOnce: a server in trouble is not asked about versions while a
// request is late.
func TestTheBucketIsNotAskedAgainAtOnce(t *testing.T) {
	r := newRig(t, nil)
	r.warm(t)
	r.hedger.recent = known(kind{}, time.Millisecond) // However busy the machine is.
	ofVersions := func(q *http.Request) bool { return q.URL.Query().Has("versioning") }
	r.proxy.Do(func(w http.ResponseWriter, q *http.Request) bool {
		if ofKey("late")(q) {
			time.Sleep(4 * leastLate)
		}
		return ofVersions(q) && s3test.Refuse(http.StatusServiceUnavailable, "SlowDown")(w, q)
	})
	if _, err := r.Upload(t.Context(), newFile(1500).file("late")); err != nil {
		t.Errorf("Upload: %v", err)
	}
	if asked, n := r.proxy.Requests(ofVersions), r.meter.Hedges(); asked != 1 || n != 0 {
		t.Errorf("the bucket was asked %d times, %d requests were sent twice, want 1 and 0", asked, n)
	}
}

// versioning has the server say this of the bucket's versions.
func (r *rig) versioning(answer string) {
	backend := r.proxy.Backend.Transport
	r.proxy.Backend.Transport = roundTrip(func(q *http.Request) (*http.Response, error) {
		a, err := backend.RoundTrip(q)
		if err == nil && q.URL.Query().Has("versioning") {
			_ = a.Body.Close()
			a.StatusCode, a.ContentLength = http.StatusOK, int64(len(answer))
			a.Header.Del("Content-Length")
			a.Body = stringBody{strings.NewReader(answer)}
		}
		return a, err
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

type stringBody struct{ *strings.Reader }

func (stringBody) Close() error { return nil }

// delay has the first request of a kind answered late.
func (r *rig) delay(of func(*http.Request) bool, by time.Duration) {
	var n atomic.Int64
	r.proxy.Do(func(_ http.ResponseWriter, q *http.Request) bool {
		if of(q) && n.Add(1) == 1 {
			time.Sleep(by)
		}
		return false
	})
}

// TestSecondAttemptsUnderFaults has requests fail in every way, first and second attempts alike:
// what is stored is what was sent, and every request that was counted has ended once.
func TestSecondAttemptsUnderFaults(t *testing.T) {
	const files = 400
	r := newRig(t, nil)
	r.warm(t)
	r.hedger.tokens = mostHedges
	faults := []s3test.Fault{
		s3test.Reset, s3test.Refuse(http.StatusServiceUnavailable, "SlowDown"), s3test.Refuse(http.StatusInternalServerError, "InternalError"),
	}
	var n atomic.Int64
	r.proxy.Do(func(w http.ResponseWriter, q *http.Request) bool {
		i := int(n.Add(1))
		if q.Method != http.MethodPut || i%5 > 1 {
			return false
		}
		time.Sleep(time.Duration(i%7) * leastLate / 4)
		fault := i / 5 % (2 * len(faults))
		return fault < len(faults) && faults[fault](w, q)
	})
	var group errgroup.Group
	group.SetLimit(6) // Of a window of 8.
	for i := range files {
		group.Go(func() error {
			f := newFile(1000 + i)
			receipt, err := r.Upload(t.Context(), f.file(fmt.Sprint("file/", i)))
			if err == nil && receipt.Checksum != checksumOf(f.content) {
				err = fmt.Errorf("file %d: receipt %+v", i, receipt)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	for i := range files {
		r.wantStored(t, fmt.Sprint("file/", i), newFile(1000+i).content)
	}
	s := r.meter.Snapshot(0)[0]
	if s.Hedged == 0 || s.Started != s.Accepted+s.Throttled+s.Failed || r.meter.prefixes["prefix"].inFlight != 0 {
		t.Errorf("%d of %d requests were sent twice, and %d accepted, %d throttled, %d failed", s.Hedged, s.Started, s.Accepted, s.Throttled, s.Failed)
	}
	if q := r.gate.queues["prefix"]; q.pacer.InFlight() != 0 {
		t.Errorf("%d slots are taken", q.pacer.InFlight())
	}
}
