package lab

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestDiscardAnswersLikeS3(t *testing.T) {
	r := start(t, NewDiscard(), Plan{})
	_, header, _, err := r.do(http.MethodPut, "/b/whole", []byte("1;chunk-signature=x\r\nz\r\n0\r\nx-amz-checksum-crc32c:AAAAAA==\r\n\r\n"),
		"X-Amz-Trailer", "x-amz-checksum-crc32c", "X-Amz-Decoded-Content-Length", "1", "Content-Md5", "1B2M2Y8AsgTpgAmY7PhCfg==")
	if err != nil || header.Get("X-Amz-Checksum-Crc32c") != "AAAAAA==" || header.Get("ETag") != `"d41d8cd98f00b204e9800998ecf8427e"` {
		t.Errorf("answer %v, error %v, want the trailing checksum and the digest as ETag", header, err)
	}
	_, header, _, err = r.do(http.MethodHead, "/b/whole", nil)
	if err != nil || header.Get("Content-Length") != "1" {
		t.Errorf("HEAD: %v, error %v, want one byte", header, err)
	}
	if _, header, _, err = r.do(http.MethodPut, "/b/small", []byte("a")); err != nil || header.Get("ETag") != `"0cc175b9c0f1b6a831c399e269772661"` {
		t.Errorf("answer %v, error %v, want the digest of a small body as ETag", header, err)
	}
	if _, _, text, err := r.do(http.MethodGet, "/b?versioning", nil); err != nil || !strings.Contains(text, "<VersioningConfiguration>") {
		t.Errorf("versioning: %q, error %v", text, err)
	}
	if status, _, _, _ := r.do(http.MethodPut, "/b/whole", nil, "If-None-Match", "*"); status != http.StatusPreconditionFailed {
		t.Errorf("conditional write over an object: status %d, want 412", status)
	}
}

func TestDiscardMultipart(t *testing.T) {
	r := start(t, NewDiscard(), Plan{})
	call := func(method, path string, body string, headers ...string) string {
		t.Helper()
		status, _, text, err := r.do(method, path, []byte(body), headers...)
		if err != nil || status >= 300 {
			t.Fatalf("%s %s: status %d %s, error %v", method, path, status, text, err)
		}
		return text
	}
	id := regexp.MustCompile(`<UploadId>(.*)</UploadId>`).FindStringSubmatch(call("POST", "/b/big?uploads", ""))[1]
	for _, part := range []string{"2", "1"} {
		call("PUT", "/b/big?partNumber="+part+"&uploadId="+id, "four", "X-Amz-Checksum-Crc64nvme", "CCCCCCCCCCC=")
	}
	if text := call("GET", "/b?uploads", ""); !strings.Contains(text, id) {
		t.Errorf("ListMultipartUploads: %s lacks %s", text, id)
	}
	listed := call("GET", "/b/big?uploadId="+id+"&part-number-marker=1", "")
	for _, want := range []string{"<PartNumber>2<", "<Size>4<", "<ChecksumCRC64NVME>CCCCCCCCCCC=<"} {
		if !strings.Contains(listed, want) || strings.Contains(listed, "<PartNumber>1<") {
			t.Errorf("ListParts beyond 1: %s, want %s", listed, want)
		}
	}
	done := call("POST", "/b/big?uploadId="+id, "<x/>", "X-Amz-Checksum-Crc64nvme", "WWWWWWWWWWW=")
	if !strings.Contains(done, "<ChecksumCRC64NVME>WWWWWWWWWWW=<") {
		t.Errorf("CompleteMultipartUpload: %s lacks the checksum", done)
	}
	if status, _, _, _ := r.do("DELETE", "/b/big?uploadId="+id, nil); status != http.StatusNotFound {
		t.Errorf("abort of a completed upload: status %d, want 404", status)
	}
	if text := call("GET", "/b?list-type=2&prefix=bi", ""); !strings.Contains(text, "<Key>big</Key>") || !strings.Contains(text, "<Size>8</Size>") {
		t.Errorf("list: %s lacks the object of 8 bytes", text)
	}
}

func TestDiscardKeepsWhatItIsToldTo(t *testing.T) {
	r := start(t, NewDiscard("data/.books/"), Plan{})
	for _, key := range []string{"data/.books/shard", "data/bulk"} {
		if status, _, _, err := r.do("PUT", "/b/"+key, []byte("0123456789")); err != nil || status != http.StatusOK {
			t.Fatalf("PUT %s: status %d, error %v", key, status, err)
		}
	}
	status, header, text, err := r.do("GET", "/b/data/.books/shard", nil, "Range", "bytes=2-4")
	if err != nil || status != http.StatusPartialContent || text != "234" || header.Get("ETag") == "" {
		t.Errorf("GET of a part of a kept object: status %d, %v, %q, error %v, want the bytes 2 to 4 with an ETag", status, header, text, err)
	}
	if status, _, _, _ := r.do("GET", "/b/data/bulk", nil); status != http.StatusNotFound {
		t.Errorf("GET of an object that is not kept: status %d, want 404", status)
	}
}
