package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// answer is the answer to a request that was passed on, on its way to the client.
type answer struct {
	http.ResponseWriter
	lab     *Lab
	request *http.Request
	upload  *upload
	struck  *strike
	delay   time.Duration // the service time that is added
	x       *exchange

	begun bool
	// left is how many bytes of the body may still go out; -1 for all.
	left int64
	// muted: the server's own answer goes nowhere.
	muted   bool
	preview []byte
}

// previewBytes is how much of the answer to CreateMultipartUpload is kept, to find the ID in.
const previewBytes = 4 << 10

// Unwrap lets http.ResponseController flush.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if status < http.StatusOK {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	a.begun, a.left = true, -1
	a.x.passed = status < 300
	a.lab.pause(a.request, a.delay)
	a.strike(status)
	if a.muted {
		return
	}
	a.disguise()
	a.x.status = status
	if ended := a.upload.sent().ended; !ended.IsZero() {
		a.x.latency = time.Since(ended)
	}
	a.ResponseWriter.WriteHeader(status)
}

// strike does to the answer what a fault does before its headers are out.
func (a *answer) strike(status int) {
	if a.struck == nil {
		return
	}
	length, _ := strconv.ParseInt(a.Header().Get("Content-Length"), 10, 64)
	bodiless := length == 0 && a.Header().Get("Content-Length") != "" || a.request.Method == http.MethodHead ||
		status == http.StatusNoContent
	switch kind := a.struck.Kind; {
	case kind == ResetAnswer, kind == TruncateAnswer && bodiless:
		reset(a.request)
	case kind == TruncateAnswer:
		a.left = int64(a.struck.at * float64(length))
	case kind == SlowAnswer && bodiless:
		a.lab.pause(a.request, a.struck.wait())
	case kind == LateInternalError:
		clear(a.Header())
		a.x.status = http.StatusInternalServerError
		internalError().write(a.ResponseWriter, a.request)
		a.muted = true
	}
}

// tellTime sets the date of an answer to what the server's clock says.
func (c Conditions) tellTime(header http.Header) {
	if skew := c.skew(); skew != 0 {
		header.Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
	}
}

// disguise makes the headers those of the server that the conditions describe.
func (a *answer) disguise() {
	conditions := a.lab.conditions()
	conditions.tellTime(a.Header())
	etag := a.Header().Get("ETag")
	if conditions.lacks(MD5ETags) && etag != "" && a.x.operation != opUploadPart {
		sum := sha256.Sum256([]byte(etag))
		a.Header().Set("ETag", strconv.Quote(hex.EncodeToString(sum[:20])))
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	if a.x.operation == opCreateUpload && len(a.preview) < previewBytes {
		a.preview = append(a.preview, p[:min(len(p), previewBytes-len(a.preview))]...)
	}
	if a.muted {
		return len(p), nil
	}
	if a.struck != nil {
		p = a.spoil(p)
	}
	n, err := a.ResponseWriter.Write(p)
	a.x.out += int64(n)
	return n, err
}

// spoil does to the body what a fault does, and returns what of it goes out.
func (a *answer) spoil(p []byte) []byte {
	switch a.struck.Kind {
	case DamageAnswer:
		if a.x.out == 0 && len(p) > 0 {
			p = append([]byte(nil), p...)
			p[int(a.struck.at*float64(len(p)))] ^= 0x20
		}
	case SlowAnswer:
		_ = http.NewResponseController(a.ResponseWriter).Flush() // The client may have gone.
		a.lab.pause(a.request, a.struck.wait())
	case TruncateAnswer:
		if a.left < int64(len(p)) {
			n, _ := a.ResponseWriter.Write(p[:a.left])
			a.x.out += int64(n)
			_ = http.NewResponseController(a.ResponseWriter).Flush() // The client may have gone.
			panic(http.ErrAbortHandler)
		}
		a.left -= int64(len(p))
	}
	return p
}

// uploadID finds the upload that the server says it has opened.
func (a *answer) uploadID() string {
	if !a.x.passed || a.x.operation != opCreateUpload {
		return ""
	}
	match := regexp.MustCompile(`<UploadId>([^<]+)</UploadId>`).FindSubmatch(a.preview)
	if match == nil {
		return ""
	}
	return string(match[1])
}
