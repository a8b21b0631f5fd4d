package upload

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cargoship.dev/operator/internal/s3/s3test"

	"cargoship.dev/operator/internal/s3"
)

// silent makes the server one that knows no checksums: it neither verifies nor keeps nor
// lists any.
func (r *rig) silent() s3test.Fault {
	f := s3test.Fault(func(w http.ResponseWriter, q *http.Request) bool {
		for name := range q.Header {
			if strings.HasPrefix(name, "X-Amz-Checksum-") {
				// The signature covers it, so it cannot be taken out.
				w = &s3test.SilentWriter{ResponseWriter: w}
			}
		}
		r.proxy.Backend.ServeHTTP(&s3test.SilentWriter{ResponseWriter: w}, q)
		return true
	})
	r.proxy.Do(f)
	return f
}

func TestTheMD5IsProofWhereNoChecksumIsConfirmed(t *testing.T) {
	for _, noOverwrite := range []bool{false, true} {
		r := newRig(t, func(o *s3.Options) { o.NoOverwrite = noOverwrite })
		r.silent()
		for _, size := range []int{0, 5, 300 << 10, 17 * mebi} {
			for _, key := range []string{"first", "second"} {
				key += fmt.Sprint(size)
				f := newFile(size)
				before := r.proxy.Requests(s3test.IsPut)
				receipt, err := r.Upload(t.Context(), f.file(key))
				if err != nil {
					t.Fatalf("Upload of %d bytes: %v", size, err)
				}
				want := checksumOf(f.content)
				if receipt.Checksum != want || receipt.ChecksumAlgorithm != s3.ChecksumCRC64NVME {
					t.Errorf("receipt = %+v, want the CRC64NVME %s", receipt, want)
				}
				r.wantStored(t, key, f.content)
				requests := 1
				if noOverwrite && key == "first0" {
					requests = 2 // The server is asked by the first whether it knows conditions.
				}
				if sent := r.proxy.Requests(s3test.IsPut) - before; size <= wholeLimit && sent != requests {
					t.Errorf("%d requests for a file of %d bytes, want %d", sent, size, requests)
				}
			}
		}
		if got := r.client.ChecksumAlgorithm(); got != s3.ChecksumMD5 {
			t.Errorf("ChecksumAlgorithm = %q, want MD5", got)
		}
		if r.proxy.Requests(func(q *http.Request) bool { return q.Header.Get("Content-Md5") != "" }) == 0 {
			t.Error("no request carried Content-MD5")
		}
		r.wantNoUploads(t)
	}
}

// A body that was damaged on the way is sent again, whatever is proof.
func TestDamageIsFoundByTheMD5(t *testing.T) {
	r := newRig(t, func(o *s3.Options) { o.Checksum = s3.ChecksumMD5 })
	first, f := newFile(10), newFile(100)
	if _, err := r.Upload(t.Context(), first.file("first")); err != nil {
		t.Fatal(err)
	}
	// The server takes the damaged body for good, as if it knew no Content-MD5.
	r.proxy.Times(1, s3test.IsPut, func(w http.ResponseWriter, q *http.Request) bool {
		w.Header().Set("Etag", `"`+hex.EncodeToString(make([]byte, 16))+`"`)
		return true
	})
	if _, err := r.Upload(t.Context(), f.file("damaged")); err != nil {
		t.Fatalf("Upload: %v", err)
	}
	r.wantStored(t, "damaged", f.content)
}

func isUnsigned(q *http.Request) bool {
	return q.Method == http.MethodPut && len(q.Header.Get("X-Amz-Content-Sha256")) != 64
}

// Where the network is trusted, checksums find what is damaged on the way.
func TestBodiesAreUnsignedWhereTheNetworkIsTrusted(t *testing.T) {
	r := newRig(t, func(o *s3.Options) { o.UnsignedPayload = true })
	for _, size := range []int{5, 17 * mebi} {
		before := r.proxy.Requests(isUnsigned)
		f := newFile(size)
		if _, err := r.Upload(t.Context(), f.file("unsigned")); err != nil {
			t.Fatal(err)
		}
		if r.proxy.Requests(isUnsigned) == before {
			t.Errorf("all bodies of a file of %d bytes were signed", size)
		}
		r.wantStored(t, "unsigned", f.content)
	}
	r.proxy.Times(1, s3test.IsPut, s3test.Damage)
	f := newFile(100)
	if _, err := r.Upload(t.Context(), f.file("damaged")); err != nil {
		t.Fatal(err)
	}
	r.wantStored(t, "damaged", f.content)
}

// A server that lists parts without checksums has them recognized by their ETags.
func TestPartsAreRecognisedByTheirMD5(t *testing.T) {
	r := newRig(t, nil)
	f := newFile(36*mebi + 5)
	upload := r.left(t, "resumed", f.content, 8*mebi, 1, 2, 5)
	r.silent()
	before := r.proxy.Seen()
	file := f.file("resumed")
	file.ResumableUploads = []s3.OpenUpload{upload}
	if _, err := r.Upload(t.Context(), file); err != nil {
		t.Fatalf("Upload: %v", err)
	}
	if sent := r.proxy.PartsSince(before); strings.Join(sent, " ") != "3 4" {
		t.Errorf("parts %v were sent, want 3 and 4", sent)
	}
	r.wantStored(t, "resumed", f.content)
	r.wantNoUploads(t)
}

// What is sent without TLS is signed: whoever can change it could make it fit a CRC.
func TestBodiesAreSignedWithoutTLS(t *testing.T) {
	r := newRig(t, nil)
	for _, size := range []int{0, 5, 17 * mebi} {
		if _, err := r.Upload(t.Context(), newFile(size).file("signed")); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.proxy.Requests(isUnsigned); n > 0 {
		t.Errorf("%d bodies were sent unsigned over http", n)
	}
	r.proxy.Times(1, s3test.IsPut, s3test.Damage)
	f := newFile(100)
	if _, err := r.Upload(t.Context(), f.file("damaged")); err != nil {
		t.Fatal(err)
	}
	r.wantStored(t, "damaged", f.content)
}
