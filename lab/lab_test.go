package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cargoship.dev/operator/internal/s3/s3test"
)

func TestPolicingIsByPartition(t *testing.T) {
	r := start(t, NewDiscard(), Plan{Conditions: Conditions{Partitions: []Partition{
		{Keys: "hot/?", RequestsPerSecond: 0.001, Burst: 2},
	}}})
	for _, c := range []struct {
		key  string
		want int
	}{
		{"hot/a1", 200}, {"hot/a2", 200}, {"hot/a3", 503}, // the burst is spent
		{"hot/b1", 200}, // another partition
		{"cold/1", 200}, {"cold/2", 200}, {"cold/3", 200},
	} {
		r.wantPut(t, c.key, c.want)
	}
	got := map[string][2]int64{}
	for _, p := range r.Stats().Partitions {
		got[p.Name] = [2]int64{p.Requests, p.Throttled}
	}
	want := map[string][2]int64{"hot/a": {3, 1}, "hot/b": {1, 0}, "": {3, 0}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("requests and throttled by partition: %v, want %v", got, want)
	}
	_, _, body, err := r.do(http.MethodPut, "/bucket/hot/a4", nil)
	if err != nil || !strings.Contains(body, "<Code>SlowDown</Code>") {
		t.Errorf("answer %q, error %v, want S3's SlowDown", body, err)
	}
}

func TestTimeToBeStoredCountsThrottledAttempts(t *testing.T) {
	r := start(t, NewDiscard(), Plan{Conditions: Conditions{Partitions: []Partition{{RequestsPerSecond: 0.001, Burst: 1}}}})
	r.wantPut(t, "first", 200)
	begun := time.Now()
	r.wantPut(t, "second", 503)
	time.Sleep(time.Second)
	r.Set(Conditions{})
	r.wantPut(t, "second", 200)
	waited := time.Since(begun).Seconds()
	got := r.Stats().Total
	if got.StoredP99 < 1 || got.StoredP99 > 1.02*waited {
		t.Errorf("the slower of two objects took %.3f s to be stored, want from 1 s to %.3f s", got.StoredP99, waited)
	}
	if got.P99 >= 1 {
		t.Errorf("its last request alone took %.3f s, want less than the wait before it", got.P99)
	}
}

func TestThrottlingComesBeforeTheBody(t *testing.T) {
	r := start(t, NewDiscard(), Plan{Conditions: Conditions{Partitions: []Partition{{RequestsPerSecond: 0.001, Burst: 1}}}})
	r.wantPut(t, "first", 200)
	unread := &countingReader{Reader: bytes.NewReader(make([]byte, 8<<20))}
	request, _ := http.NewRequest(http.MethodPut, r.url+"/bucket/second", unread)
	request.ContentLength = 8 << 20
	request.Header.Set("Expect", "100-continue")
	response, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // Only the status counts.
	if response.StatusCode != http.StatusServiceUnavailable || unread.n != 0 {
		t.Errorf("status %d after %d bytes of the body, want 503 after 0", response.StatusCode, unread.n)
	}
}

type countingReader struct {
	io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestFaults(t *testing.T) {
	const size = 256 << 10
	etag := func(r *rig) string { return fmt.Sprint(r.backend.(*Discard).Objects()) }
	for _, c := range []struct {
		kind FaultKind
		// wantStatus is 0 where no whole answer comes.
		wantStatus int
		// wantStored is what Objects says afterwards.
		wantStored string
	}{
		{kind: ResetRequest, wantStored: "0 0"},
		{kind: ResetAnswer, wantStored: "1 262144"},
		{kind: TruncateAnswer, wantStored: "1 262144"}, // the answer has no body
		{kind: NoAnswer, wantStored: "0 0"},
		{kind: InternalError, wantStatus: 500, wantStored: "0 0"},
		{kind: LateInternalError, wantStatus: 500, wantStored: "1 262144"},
		{kind: SlowDown, wantStatus: 503, wantStored: "0 0"},
		{kind: ExpiredToken, wantStatus: 400, wantStored: "0 0"},
		{kind: SlowAnswer, wantStatus: 200, wantStored: "1 262144"},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			r := start(t, NewDiscard(), Plan{Conditions: Conditions{Faults: []Fault{
				{Kind: c.kind, Share: 1, Most: 1, Duration: 50 * time.Millisecond},
			}}})
			begun := time.Now()
			status, err := r.put("key", size)
			if status != c.wantStatus || (err != nil) != (c.wantStatus == 0) {
				t.Errorf("status %d, error %v; want status %d, or an error for 0", status, err, c.wantStatus)
			}
			if took := time.Since(begun); (c.kind == NoAnswer || c.kind == SlowAnswer) && took < 50*time.Millisecond {
				t.Errorf("answered after %v, want at least 50 ms", took)
			}
			if got := etag(r); got != c.wantStored {
				t.Errorf("stored objects and bytes %s, want %s", got, c.wantStored)
			}
			if s := r.Stats(); s.Faults[c.kind] != 1 {
				t.Errorf("faults %v, want one %s", s.Faults, c.kind)
			}
			r.wantPut(t, "key", 200)
			var wantLost int64
			if c.wantStatus == 0 {
				wantLost = 1
			}
			// The client sees the end of a request before the lab has counted it.
			lost := r.Stats().Total.Lost
			for waited := time.Duration(0); lost != wantLost && waited < 5*time.Second; waited += time.Millisecond {
				time.Sleep(time.Millisecond)
				lost = r.Stats().Total.Lost
			}
			if lost != wantLost {
				t.Errorf("%d requests without an answer, want %d", lost, wantLost)
			}
		})
	}
}

func TestDamageChangesOneByte(t *testing.T) {
	sent := bytes.Repeat([]byte("x"), 100<<10)
	var mu sync.Mutex
	var got []byte
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = body
		_, _ = w.Write(body)
	})
	for _, kind := range []FaultKind{DamageRequest, DamageAnswer} {
		r := start(t, echo, Plan{Conditions: Conditions{Faults: []Fault{{Kind: kind, Share: 1}}}})
		_, _, answer, err := r.do(http.MethodPut, "/bucket/key", sent)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		requestDiffers, answerDiffers := differences(sent, got), differences(got, []byte(answer))
		mu.Unlock()
		want := [2]int{1, 0}
		if kind == DamageAnswer {
			want = [2]int{0, 1}
		}
		if [2]int{requestDiffers, answerDiffers} != want {
			t.Errorf("%s: %d bytes of the request and %d of the answer differ, want %v", kind, requestDiffers, answerDiffers, want)
		}
	}
}

func differences(a, b []byte) int {
	if len(a) != len(b) {
		return -1
	}
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func TestTruncatedAnswer(t *testing.T) {
	whole := strings.Repeat("y", 300<<10)
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
		_, _ = io.WriteString(w, whole)
	}), Plan{Conditions: Conditions{Faults: []Fault{{Kind: TruncateAnswer, Share: 1}}}})
	status, _, body, err := r.do(http.MethodGet, "/bucket/key", nil)
	if status != 200 || !errors.Is(err, io.ErrUnexpectedEOF) || len(body) >= len(whole) {
		t.Errorf("status %d, %d bytes, error %v; want 200 and an early end", status, len(body), err)
	}
}

func TestFaultsAreSeeded(t *testing.T) {
	fates := func(seed uint64, backwards bool) (fates [64]bool) {
		d := newDice(seed)
		d.arm([]Fault{{Kind: SlowDown, Share: 0.5}})
		for i := range fates {
			if backwards {
				i = len(fates) - 1 - i
			}
			struck, _ := d.roll(target{operation: opPutObject, key: fmt.Sprint(i)})
			fates[i] = struck != nil
		}
		return fates
	}
	if fates(1, false) != fates(1, true) {
		t.Error("the order of requests changes their fates")
	}
	if fates(1, false) == fates(2, false) {
		t.Error("another seed gives the same fates")
	}
}

func TestFeaturesThatAreMissing(t *testing.T) {
	for _, c := range []struct {
		feature      Feature
		method, path string
		headers      []string
		want         int
	}{
		{CRC64NVME, "PUT", "/b/k", []string{"X-Amz-Checksum-Crc64nvme", "AAAAAAAAAAA="}, 400},
		{CRC64NVME, "POST", "/b/k?uploads", []string{"X-Amz-Checksum-Algorithm", "CRC64NVME"}, 400},
		{CRC64NVME, "PUT", "/b/k", []string{"X-Amz-Checksum-Crc32c", "AAAAAA=="}, 200},
		{Trailers, "PUT", "/b/k", []string{"X-Amz-Trailer", "x-amz-checksum-crc32"}, 501},
		{Trailers, "PUT", "/b/k", []string{"X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, 501},
		{ConditionalWrites, "PUT", "/b/k", []string{"If-None-Match", "*"}, 501},
		{ListParts, "GET", "/b/k?uploadId=x", nil, 501},
	} {
		r := start(t, NewDiscard(), Plan{Conditions: Conditions{Without: []Feature{c.feature}}})
		status, _, body, err := r.do(c.method, c.path, nil, c.headers...)
		if err != nil || status != c.want {
			t.Errorf("without %s, %s %s %v: status %d (%s), error %v, want %d", c.feature, c.method, c.path, c.headers, status, body, err, c.want)
		}
	}
}

func TestETagsThatAreNoDigests(t *testing.T) {
	r := start(t, NewDiscard(), Plan{Conditions: Conditions{Without: []Feature{MD5ETags}}})
	const md5 = "1B2M2Y8AsgTpgAmY7PhCfg=="
	_, header, _, err := r.do(http.MethodPut, "/b/k", nil, "Content-Md5", md5)
	_, again, _, headErr := r.do(http.MethodHead, "/b/k", nil)
	if err != nil || headErr != nil || len(header.Get("ETag")) != 42 || header.Get("ETag") != again.Get("ETag") {
		t.Errorf("ETags %s and %s, errors %v, %v; want the same 40 digits", header.Get("ETag"), again.Get("ETag"), err, headErr)
	}
}

func TestClockSkewAndReadOnly(t *testing.T) {
	skew := 20 * time.Minute
	r := start(t, NewDiscard(), Plan{Conditions: Conditions{ClockSkew: &skew, ReadOnly: []string{"archive"}}})
	stamp := func(d time.Duration) string { return time.Now().Add(d).UTC().Format("20060102T150405Z") }
	status, _, body, err := r.do(http.MethodPut, "/bucket/key", nil, "X-Amz-Date", stamp(0))
	if err != nil || status != 403 || !strings.Contains(body, "RequestTimeTooSkewed") {
		t.Errorf("status %d %s, error %v, want RequestTimeTooSkewed", status, body, err)
	}
	status, header, _, err := r.do(http.MethodPut, "/bucket/key", nil, "X-Amz-Date", stamp(skew))
	date, dateErr := http.ParseTime(header.Get("Date"))
	if err != nil || status != 200 || dateErr != nil || time.Until(date) < 19*time.Minute {
		t.Errorf("status %d at %s, error %v, want 200 at the server's time", status, header.Get("Date"), err)
	}
	status, _, body, err = r.do(http.MethodPut, "/archive/key", nil)
	if err != nil || status != 403 || !strings.Contains(body, "AccessDenied") {
		t.Errorf("status %d %s, error %v, want AccessDenied", status, body, err)
	}
	if status, _, _, err = r.do(http.MethodGet, "/archive?list-type=2", nil); err != nil || status != 200 {
		t.Errorf("read of a read-only bucket: status %d, error %v", status, err)
	}
}

func TestBlackoutBySchedule(t *testing.T) {
	r := start(t, NewDiscard(), Plan{
		Conditions: Conditions{Blackout: Silent},
		Schedule:   []Step{{At: 300 * time.Millisecond, Conditions: Conditions{Blackout: NoBlackout}}},
	})
	begun := time.Now()
	_, err := r.put("key", 10)
	if !errors.Is(err, syscall.ECONNRESET) || time.Since(begun) < 200*time.Millisecond {
		t.Errorf("error %v after %v, want a reset at the end of the blackout", err, time.Since(begun))
	}
	r.wantPut(t, "key", 200)
	r.Set(Conditions{Blackout: Reset})
	if _, err := r.put("key", 10); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v, want a reset", err)
	}
}

func TestServiceTime(t *testing.T) {
	r := start(t, NewDiscard(), Plan{Conditions: Conditions{ServiceTime: &ServiceTime{Median: 40 * time.Millisecond}}})
	r.wantPut(t, "key", 200)
	s := r.Stats().Total
	if s.P50 < 0.039 || s.P50 > 1 {
		t.Errorf("median latency %v s, want 0.04", s.P50)
	}
	d := newDice(1)
	const draws = 20_000
	var median, p99 int
	for i := range draws {
		_, random := d.roll(target{key: fmt.Sprint(i)})
		v := (&ServiceTime{Median: 100 * time.Millisecond, P99: 400 * time.Millisecond}).draw(random)
		if v > 100*time.Millisecond {
			median++
		}
		if v > 400*time.Millisecond {
			p99++
		}
	}
	if median < draws*48/100 || median > draws*52/100 || p99 < draws*7/1000 || p99 > draws*13/1000 {
		t.Errorf("%d of %d above the median, %d above the 99th percentile", median, draws, p99)
	}
}

func TestBandwidth(t *testing.T) {
	for name, b := range map[string]Bandwidth{
		"shared": {SharedMegabits: 40}, "each": {ConnectionMegabits: 20},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, NewDiscard(), Plan{Conditions: Conditions{Bandwidth: &b}})
			begun := time.Now()
			var both sync.WaitGroup
			for i := range 2 {
				both.Go(func() {
					if _, err := r.put(fmt.Sprint(i), 1<<20); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			// 2 MiB at 40 Mb/s.
			if took := time.Since(begun).Seconds(); took < 0.35 || took > 20 {
				t.Errorf("took %.2f s, want about 0.42", took)
			}
		})
	}
}

func TestSignedRequestsPass(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "bucket")
	backend := mustProxy(t, server.Endpoint)
	r := start(t, backend, Plan{})
	client, err := minio.New(strings.TrimPrefix(r.url, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""), Region: server.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	const size = 17 << 20
	options := minio.PutObjectOptions{PartSize: 5 << 20, DisableContentSha256: true}
	if _, err := client.PutObject(t.Context(), "bucket", "a key/with+signs?", bytes.NewReader(make([]byte, size)), size, options); err != nil {
		t.Fatal(err)
	}
	core := minio.Core{Client: client}
	id, err := core.NewMultipartUpload(t.Context(), "bucket", "open", minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Stats().Total; s.DataBytesIn < size || s.OpenUploads != 1 || s.Failed != 0 {
		t.Errorf("after an upload of %d bytes and one left open: %+v", size, s)
	}
	if err := core.AbortMultipartUpload(t.Context(), "bucket", "open", id); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats().Total; s.OpenUploads != 0 {
		t.Errorf("%d uploads open after the abort", s.OpenUploads)
	}
}
