package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An object that was replaced says so, at once, and nothing about other objects.
func TestOpenRangeOfAnObjectThatWasReplaced(t *testing.T) {
	r := newRig(t, nil)
	if err := r.client.Put(t.Context(), "object", bytes.Repeat([]byte("x"), 1000)); err != nil {
		t.Fatal(err)
	}
	info, err := r.client.Stat(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.client.Put(t.Context(), "object", []byte("short")); err != nil {
		t.Fatal(err)
	}
	for name, etag := range map[string]string{"by its ETag": info.ETag, "by its length": ""} {
		before := r.proxy.requests(isGet)
		_, err = r.client.OpenRange(t.Context(), "object", etag, 500, 100)
		e := asError(t, err, Source, ReasonObjectReplaced)
		if !e.AboutObject() || !strings.Contains(e.Error(), "replaced since it was archived") {
			t.Errorf("%s: %v", name, e)
		}
		if n := r.proxy.requests(isGet) - before; n != 1 {
			t.Errorf("%s: %d requests, want 1", name, n)
		}
	}
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
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for name, page := range map[string]string{
		"the same token": "<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>",
		"no token":       "<IsTruncated>true</IsTruncated>",
	} {
		r := newRig(t, nil)
		r.proxy.times(always, isGet, answerXML("<ListBucketResult><Contents><Key>a</Key></Contents>"+page+"</ListBucketResult>"))
		t.Log(name)
		_, err := r.client.List(ctx, "a")
		wantError(t, err, Configuration, ReasonListingBroken)
		_, err = r.client.ListDirectories(ctx, "a")
		wantError(t, err, Configuration, ReasonListingBroken)
		err = nil
		for _, e := range r.client.Objects(ctx, "a") {
			err = errors.Join(err, e)
		}
		wantError(t, err, Configuration, ReasonListingBroken)
	}
	r := newRig(t, nil)
	r.proxy.times(always, isGet, answerXML("<ListMultipartUploadsResult><Upload><Key>a</Key><UploadId>1</UploadId></Upload>"+
		"<IsTruncated>true</IsTruncated></ListMultipartUploadsResult>"))
	_, err := r.client.OpenUploads(ctx, "a")
	wantError(t, err, Configuration, ReasonListingBroken)
}

func answerXML(body string) fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, body)
		return true
	}
}
