package lab

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"
)

// s3Error is an error response of S3.
type s3Error struct {
	status        int
	code, message string
}

// they are functions so that no caller can change one for all.
func slowDown() s3Error {
	return s3Error{http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."}
}

func internalError() s3Error {
	return s3Error{http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."}
}

func expiredToken() s3Error {
	return s3Error{http.StatusBadRequest, "ExpiredToken", "The provided token has expired."}
}

func notImplemented() s3Error {
	return s3Error{http.StatusNotImplemented, "NotImplemented", "This server does not support what a header of the request asks for."}
}

// maxSkew is how far S3 lets the clock of a request be off.
const maxSkew = 15 * time.Minute

// rejected says what a server under these conditions rejects about a request whatever
// its rate.
func (c Conditions) rejected(r *http.Request, t target) (s3Error, bool) {
	if at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date")); err == nil {
		if off := at.Sub(time.Now().Add(c.skew())); off.Abs() > maxSkew {
			return s3Error{http.StatusForbidden, "RequestTimeTooSkewed",
				"The difference between the request time and the current time is too large."}, true
		}
	}
	for _, bucket := range c.ReadOnly {
		if bucket == t.bucket && t.writes() {
			return s3Error{http.StatusForbidden, "AccessDenied", "Access Denied"}, true
		}
	}
	return c.unsupported(r, t)
}

func (c Conditions) unsupported(r *http.Request, t target) (s3Error, bool) {
	header := r.Header
	trailer := strings.ToLower(header.Get("X-Amz-Trailer"))
	switch {
	case c.lacks(CRC64NVME) && (header.Get("X-Amz-Checksum-Crc64nvme") != "" || trailer == "x-amz-checksum-crc64nvme" ||
		strings.EqualFold(header.Get("X-Amz-Checksum-Algorithm"), string(CRC64NVME))):
		return s3Error{http.StatusBadRequest, "InvalidRequest",
			"Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, SHA1, SHA256]"}, true
	case c.lacks(Trailers) && (trailer != "" || strings.HasSuffix(header.Get("X-Amz-Content-Sha256"), "-TRAILER")):
		return notImplemented(), true
	case c.lacks(ConditionalWrites) && t.writes() && (header.Get("If-None-Match") != "" || header.Get("If-Match") != ""):
		return notImplemented(), true
	case c.lacks(ListParts) && t.operation == opListParts:
		return notImplemented(), true
	default:
		return s3Error{}, false
	}
}

// write sends the error as S3 does.
func (e s3Error) write(w http.ResponseWriter, r *http.Request) {
	body, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Resource  string
		RequestID string `xml:"RequestId"`
	}{Code: e.code, Message: e.message, Resource: r.URL.Path, RequestID: "S3LAB"})
	if err != nil {
		panic(err) // strings always marshal
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Amz-Request-Id", "S3LAB")
	w.WriteHeader(e.status)
	if r.Method != http.MethodHead {
		// A client that has gone away needs no answer.
		_, _ = w.Write(append([]byte(xml.Header), body...))
	}
}
