package s3

import (
	"bytes"
	"context"
	"errors"
	"strings"
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
}
