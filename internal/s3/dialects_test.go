package s3

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"cargoship.dev/operator/internal/s3/s3test"
)

func TestKMSThrottlingIsNamed(t *testing.T) {
	for _, err := range []error{
		refusal(503, "SlowDown", "AWS KMS: the request rate is too high"),
		refusal(400, "KMS.ThrottlingException", ""),
		refusal(503, "ServiceUnavailable", "Key Management Service"),
	} {
		if e := asError(t, Classify("put object", "k", err), Throttled, ReasonKMSThrottled); !strings.Contains(e.Error(), "bucket key") {
			t.Errorf("%v tells no remedy", e)
		}
	}
}

// answering is a server that answers all requests alike.
func answering(t *testing.T, status int, contentType, body string) (string, *atomic.Int64) {
	t.Helper()
	asked := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, q.Body)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// Some servers name characters that XML 1.0 does not have.
func TestAnswersAreReadLeniently(t *testing.T) {
	endpoint, _ := answering(t, 200, "application/xml", `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>`+
		"<IsTruncated>false</IsTruncated><Contents><Key>a&#x8;b&#1;\x01</Key></Contents><Contents><Key>c&#x41;\xff</Key></Contents></ListBucketResult>")
	client := newClient(t, Options{Bucket: testBucket, Endpoint: endpoint, PathStyle: true, CredentialsDir: s3test.CredentialsDir(t, "id", "secret")})
	keys, err := client.List(t.Context(), "")
	if err != nil || len(keys) != 2 || keys[1] != "cA\uFFFD" {
		t.Errorf("List = %q, %v", keys, err)
	}
}

// An answer that cannot be read is asked for once: the server has done what it was asked.
func TestUnreadableAnswersAreNotAskedForAgain(t *testing.T) {
	endpoint, asked := answering(t, 200, "application/xml", "<ListBucketResult><Contents><Key>a</Contents>")
	client := newClient(t, Options{Bucket: testBucket, Endpoint: endpoint, PathStyle: true, CredentialsDir: s3test.CredentialsDir(t, "id", "secret")})
	_, err := client.List(t.Context(), "")
	wantError(t, err, Source, ReasonAnswerUnreadable)
	if asked.Load() != 1 {
		t.Errorf("asked %d times, want once", asked.Load())
	}
}

func TestMistakesInTheEndpointAreNamed(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	html, _ := answering(t, 404, "text/html", "<html>nothing here</html>")
	for _, c := range []struct {
		name, endpoint string
		pathStyle      bool
		want           string
	}{
		{"http to a TLS port", strings.Replace(secure.URL, "https", "http", 1), true, "use https"},
		{"no wildcard", "http://nowhere.invalid", false, "--path-style"},
		{"no S3", html, true, "speaks S3"},
	} {
		client := newClient(t, Options{Bucket: testBucket, Endpoint: c.endpoint, PathStyle: c.pathStyle, CredentialsDir: s3test.CredentialsDir(t, "id", "secret")})
		err := client.Probe(t.Context())
		if err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
		err = client.Put(t.Context(), "key", []byte("content"))
		if err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
			t.Errorf("%s: Put: %v, want %q in it", c.name, err, c.want)
		}
	}
}

// MinIO finds uploads by their whole key only.
func TestServersThatFindUploadsByTheWholeKeyAreKnown(t *testing.T) {
	r := newRig(t)
	for _, finds := range []bool{true, false} {
		f := s3test.Fault(func(w http.ResponseWriter, q *http.Request) bool {
			if finds || !q.URL.Query().Has("uploads") || q.Method != http.MethodGet || !strings.HasSuffix(q.URL.Query().Get("prefix"), "/") {
				return false
			}
			_, _ = io.WriteString(w, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
			return true
		})
		r.proxy.Do(f)
		got, err := r.FindsUploads(t.Context(), "base/", "base/probe")
		if err != nil || got != finds {
			t.Errorf("FindsUploads = %v, %v, want %v", got, err, finds)
		}
		if open, err := r.OpenUploads(t.Context(), "base/probe"); err != nil || len(open) > 0 {
			t.Errorf("%d uploads are left open, %v", len(open), err)
		}
	}
}

// A page of somebody between here and the server is no empty listing.
func TestListingsThatAProxyAnswersAreErrors(t *testing.T) {
	for _, body := range []string{"<html><body>please log in</body></html>", "<!doctype html><br>", "please log in", ""} {
		endpoint, _ := answering(t, 200, "text/html", body)
		client := newClient(t, Options{Bucket: testBucket, Endpoint: endpoint, PathStyle: true, CredentialsDir: s3test.CredentialsDir(t, "id", "secret")})
		_, listErr := client.List(t.Context(), "")
		_, directoriesErr := client.ListDirectories(t.Context(), "")
		_, uploadsErr := client.OpenUploads(t.Context(), "")
		_, partsErr := client.ListParts(t.Context(), OpenUpload{Key: "key", UploadID: "id"}, ChecksumCRC64NVME)
		for _, err := range []error{listErr, directoriesErr, uploadsErr, Classify("list parts", "key", partsErr)} {
			wantError(t, err, Source, ReasonAnswerUnreadable)
		}
	}
}
