package s3

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"cargoship.dev/operator/internal/s3/s3test"
)

// clientOf returns a client of a server that a test makes up.
func clientOf(t *testing.T, bucket string, serve http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	client, err := NewClient(t.Context(), Options{
		Bucket: bucket, Endpoint: server.URL, PathStyle: true, CredentialsDir: s3test.CredentialsDir(t, "key", "secret"),
	})
	if err != nil {
		t.Fatalf("NewClient: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// takeIn answers as a server that has stored the body.
func takeIn(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	name := checksumHeader(ChecksumCRC64NVME)
	w.Header().Set(name, r.Header.Get(name))
	w.Header().Set("ETag", `"etag"`)
}

// Directory buckets take the token of a session, which only the SDK knows how to get.
func TestPutIntoADirectoryBucket(t *testing.T) {
	const session = "<CreateSessionResult><Credentials><AccessKeyId>k</AccessKeyId><SecretAccessKey>s</SecretAccessKey>" +
		"<SessionToken>the-token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>"
	var puts atomic.Int64
	client := clientOf(t, "bucket--use1-az4--x-s3", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("session") {
			_, _ = io.WriteString(w, session)
			return
		}
		if got := r.Header.Get("X-Amz-S3session-Token"); got != "the-token" {
			t.Errorf("session token = %q, want the one of the session", got)
		}
		puts.Add(1)
		takeIn(w, r)
	})
	if err := client.Put(t.Context(), "key", []byte("content")); err != nil {
		t.Fatalf("Put: %v", err)
	}
	b := ContentBody(ChecksumCRC64NVME, []byte("part"), Section{})
	if _, err := client.UploadPart(t.Context(), OpenUpload{Key: "key", UploadID: "id"}, 1, ChecksumCRC64NVME, b); err != nil {
		t.Fatalf("UploadPart: %v", err)
	}
	if puts.Load() != 2 || b.users.Load() != 1 {
		t.Errorf("%d requests, and %d users of the body are left, want 2 and 1", puts.Load(), b.users.Load())
	}
}
