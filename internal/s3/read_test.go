package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cargoship.dev/operator/internal/s3/s3test"
)

// An object that was replaced says so, at once, and nothing about other objects.
func TestOpenRangeOfAnObjectThatWasReplaced(t *testing.T) {
	r := newRig(t)
	if err := r.Put(t.Context(), "object", bytes.Repeat([]byte("x"), 1000)); err != nil {
		t.Fatal(err)
	}
	info, err := r.Stat(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Put(t.Context(), "object", []byte("short")); err != nil {
		t.Fatal(err)
	}
	for name, etag := range map[string]string{"by its ETag": info.ETag, "by its length": ""} {
		before := r.proxy.Requests(s3test.IsGet)
		_, err = r.OpenRange(t.Context(), "object", etag, 500, 100)
		e := asError(t, err, Source, ReasonObjectReplaced)
		if !e.AboutObject() || !strings.Contains(e.Error(), "replaced since it was archived") {
			t.Errorf("%s: %v", name, e)
		}
		if n := r.proxy.Requests(s3test.IsGet) - before; n != 1 {
			t.Errorf("%s: %d requests, want 1", name, n)
		}
	}
}

// A server may take a range for another, or not look at conditions: what it sends is not read then.
func TestOpenRangeOfAServerThatSendsSomethingElse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(http.Header)
		class  Class
		reason string
	}{
		"another range":  {func(h http.Header) { h.Set("Content-Range", "bytes 0-99/1000") }, Integrity, ReasonChecksumMismatch},
		"no range":       {func(h http.Header) { h.Del("Content-Range") }, Integrity, ReasonChecksumMismatch},
		"a longer one":   {func(h http.Header) { h.Set("Content-Range", "bytes 500-5999/10000") }, Integrity, ReasonChecksumMismatch},
		"another object": {func(h http.Header) { h.Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`) }, Source, ReasonObjectReplaced},
	} {
		r := newRig(t)
		if err := r.Put(t.Context(), "object", bytes.Repeat([]byte("x"), 1000)); err != nil {
			t.Fatal(err)
		}
		info, err := r.Stat(t.Context(), "object")
		if err != nil {
			t.Fatal(err)
		}
		body, err := r.OpenRange(t.Context(), "object", info.ETag, 500, 100)
		if err != nil {
			t.Fatalf("%s: as it is: %v", name, err)
		}
		_ = body.Close()
		r.proxy.Do(func(w http.ResponseWriter, q *http.Request) bool {
			r.proxy.Backend.ServeHTTP(&headerWriter{ResponseWriter: w, change: c.change}, q)
			return true
		})
		t.Log(name)
		_, err = r.OpenRange(t.Context(), "object", info.ETag, 500, 100)
		if e := asError(t, err, c.class, c.reason); !e.AboutObject() {
			t.Errorf("%s: %v is not about the object", name, e)
		}
	}
}

// headerWriter changes the header of an answer.
type headerWriter struct {
	http.ResponseWriter
	change func(http.Header)
}

// WriteHeader implements http.ResponseWriter.
func (w *headerWriter) WriteHeader(status int) {
	w.change(w.Header())
	w.ResponseWriter.WriteHeader(status)
}

func TestErrorsAboutOneObjectAreNotAboutTheBucket(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   bool
	}{
		{403, "InvalidObjectState", true},
		{403, "AccessDenied", true},
		{404, "NoSuchKey", true},
		{500, "InternalError", true},
		{400, "KMS.DisabledException", true},
		{404, "NoSuchBucket", false},
		{403, "InvalidAccessKeyId", false},
		{400, "ExpiredToken", false},
		{503, "SlowDown", false},
		{301, "PermanentRedirect", false},
	} {
		if e := Classify("get object", "key", refusal(c.status, c.code, "")); e.AboutObject() != c.want {
			t.Errorf("%d %s is about the object: %v, want %v", c.status, c.code, e.AboutObject(), c.want)
		}
	}
}

// A server that repeats itself ends the listing, and not the patience of whoever waits.
func TestListingsThatRepeatThemselvesEnd(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, page := range map[string]string{
		"the same token": "<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>",
		"no token":       "<IsTruncated>true</IsTruncated>",
	} {
		r := newRig(t)
		r.proxy.Times(s3test.Always, s3test.IsGet, s3test.AnswerXML("<ListBucketResult><Contents><Key>a</Key></Contents>"+page+"</ListBucketResult>"))
		t.Log(name)
		_, err := r.List(ctx, "a")
		wantError(t, err, Configuration, ReasonListingBroken)
		_, err = r.ListDirectories(ctx, "a")
		wantError(t, err, Configuration, ReasonListingBroken)
		err = nil
		for _, e := range r.Objects(ctx, "a") {
			err = errors.Join(err, e)
		}
		wantError(t, err, Configuration, ReasonListingBroken)
	}
	r := newRig(t)
	r.proxy.Times(s3test.Always, s3test.IsGet, s3test.AnswerXML("<ListMultipartUploadsResult><Upload><Key>a</Key><UploadId>1</UploadId></Upload>"+
		"<IsTruncated>true</IsTruncated></ListMultipartUploadsResult>"))
	_, err := r.OpenUploads(ctx, "a")
	wantError(t, err, Configuration, ReasonListingBroken)
	r.proxy.Times(s3test.Always, s3test.IsGet, s3test.AnswerXML("<ListPartsResult><IsTruncated>true</IsTruncated>"+
		"<NextPartNumberMarker>1</NextPartNumberMarker><Part><PartNumber>1</PartNumber><ETag>x</ETag><Size>5</Size></Part></ListPartsResult>"))
	_, err = r.ListParts(ctx, OpenUpload{Key: "a", UploadID: "1"}, ChecksumCRC64NVME)
	wantError(t, err, Source, ReasonListingBroken)
}

// So does one whose every page goes on in another way.
func TestListingsThatGoOnForEverEnd(t *testing.T) {
	for name, entry := range map[string]string{"nothing": "", "the same key": "<Contents><Key>a</Key></Contents>", "the same prefix": "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var pages atomic.Int64
			r.proxy.Do(func(w http.ResponseWriter, q *http.Request) bool {
				token := pages.Add(1)
				if token > 1000 {
					return false
				}
				return s3test.AnswerXML(fmt.Sprintf("<ListBucketResult>%s<IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken></ListBucketResult>",
					entry, token))(w, q)
			})
			_, err := r.List(t.Context(), "a")
			wantError(t, err, Configuration, ReasonListingBroken)
		})
	}
	r := newRig(t)
	var pages atomic.Int64
	r.proxy.Do(func(w http.ResponseWriter, q *http.Request) bool {
		if pages.Add(1) > 1000 {
			return false
		}
		key := "a"
		if q.URL.Query().Get("key-marker") == "a" {
			key = "b"
		}
		return s3test.AnswerXML("<ListMultipartUploadsResult><Upload><Key>"+key+"</Key><UploadId>1</UploadId></Upload>"+
			"<IsTruncated>true</IsTruncated></ListMultipartUploadsResult>")(w, q)
	})
	_, err := r.OpenUploads(t.Context(), "")
	wantError(t, err, Configuration, ReasonListingBroken)
}

// Of an object that is too large nothing is kept, whether or not the server says how large it is.
func TestAnObjectThatIsTooLargeIsNotRead(t *testing.T) {
	r := newRig(t)
	if err := r.Put(t.Context(), "key", make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if body, err := r.GetAtMost(t.Context(), "key", 100); err != nil || len(body) != 100 {
		t.Errorf("%d bytes are read, %v, want all of 100", len(body), err)
	}
	_, err := r.GetAtMost(t.Context(), "key", 99)
	wantError(t, err, Source, ReasonTooLarge)
	r.proxy.Times(s3test.Always, s3test.IsGet, func(w http.ResponseWriter, _ *http.Request) bool {
		for range 100 {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
		}
		return true
	})
	_, err = r.GetAtMost(t.Context(), "key", 99)
	wantError(t, err, Source, ReasonTooLarge)
}
