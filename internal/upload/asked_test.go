package upload

import (
	"net/http"
	"testing"
	"time"

	"cargoship.dev/operator/internal/s3/s3test"

	"cargoship.dev/operator/internal/s3"
)

// What a bucket asks for is sent, signed, with every request that it concerns.
func TestWhatBucketsAskForIsSent(t *testing.T) {
	r := newRig(t, func(o *s3.Options) {
		o.SSE = "aws:kms"
		o.Asked = s3.Asked{
			ObjectLock: s3.ObjectLock{Mode: "COMPLIANCE", Until: time.Date(2036, 1, 31, 1, 2, 3, 0, time.FixedZone("", 3600)), LegalHold: true},
			ACL:        "bucket-owner-full-control", BucketKey: true, RequesterPays: true, ExpectedBucketOwner: "111122223333",
		}
	})
	always := map[string]string{"X-Amz-Request-Payer": "requester", "X-Amz-Expected-Bucket-Owner": "111122223333"}
	objects := map[string]string{"X-Amz-Acl": "bucket-owner-full-control", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled": "true"}
	locks := map[string]string{
		"X-Amz-Object-Lock-Mode": "COMPLIANCE", "X-Amz-Object-Lock-Retain-Until-Date": "2036-01-31T00:02:03Z", "X-Amz-Object-Lock-Legal-Hold": "ON",
	}
	bookkeeping := false
	f := s3test.Fault(func(w http.ResponseWriter, q *http.Request) bool {
		makes := s3test.IsPut(q) || s3test.IsCreate(q)
		for want, applies := range map[*map[string]string]bool{&always: true, &objects: makes, &locks: makes && !bookkeeping} {
			for name, value := range *want {
				if got := q.Header.Get(name); applies && got != value || !applies && got != "" {
					t.Errorf("%s %s: %s is %q, want %q: %v", q.Method, q.URL, name, got, value, applies)
				}
			}
		}
		w.Header().Set("Etag", `"x"`)
		w.Header().Set("X-Amz-Checksum-Crc64nvme", q.Header.Get("X-Amz-Checksum-Crc64nvme"))
		if q.Method == http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
		}
		if s3test.IsCreate(q) {
			_, _ = w.Write([]byte("<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"))
		}
		if s3test.IsComplete(q) {
			_, _ = w.Write([]byte("<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>"))
		}
		return true
	})
	r.proxy.Do(f)
	for key, size := range map[string]int{"small": 5, "large": 17 * mebi} {
		if _, err := r.Upload(t.Context(), newFile(size).file(key)); err != nil {
			t.Errorf("Upload: %v", err)
		}
	}
	bookkeeping = true
	if err := r.client.Put(t.Context(), "index", []byte("{}")); err != nil {
		t.Error(err)
	}
	r.proxy.Do(nil)
}
