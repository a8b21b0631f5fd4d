package s3

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/smithy-go"
)

// maxRejections is how many rejections are remembered at a time.
const maxRejections = 1000

// rejections distinguish whether the server rejects one object, such as one with a name that
// it does not take, or all: the codes are the same. A rejection counts for all until the same
// object is rejected again while another, begun after the first rejection, was accepted. Only
// objects of files count, for bookkeeping has other settings; and only requests that carry
// these. The zero value is ready for use.
type rejections struct {
	// begun counts writes; accepted is the last of them that succeeded.
	begun, accepted atomic.Int64

	mu sync.Mutex
	// first is how many writes had begun when a key was first rejected.
	first map[string]int64
}

// begin returns the number of a write.
func (r *rejections) begin() int64 { return r.begun.Add(1) }

// accept records that a write succeeded.
func (r *rejections) accept(number int64) {
	for last := r.accepted.Load(); number > last && !r.accepted.CompareAndSwap(last, number); {
		last = r.accepted.Load()
	}
}

// ofOne reports whether an error may be about one object although it counts for all.
func (e *Error) ofOne() bool {
	writes := actions()[e.Op] == actions()[opPut]
	switch {
	case e.common || Status(e.Err) == 0:
		return false
	case e.Class == Permission:
		return writes // Who may write need not have the right to read.
	default:
		return e.Reason == ReasonConfigurationRejected && (writes || e.Op == opLookUp)
	}
}

// judge corrects the verdict on the rejection of one object.
func (r *rejections) judge(e *Error) {
	if !e.ofOne() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	first, again := r.first[e.Key]
	switch {
	case again && r.accepted.Load() > first:
		e.Class, e.Reason, e.advice = Source, ReasonObjectRejected, "the server rejects this object"
	case !again:
		if r.first == nil || len(r.first) == maxRejections {
			r.first = map[string]int64{}
		}
		r.first[e.Key] = r.begun.Load()
	}
}

// isConflict reports whether S3 gave an upload up, as another write came between.
func isConflict(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ConditionalRequestConflict"
}

// OfResumed judges an error of an upload that an earlier attempt began. The server rejects what
// does not fit the checksum that it says the upload was created with, by another attempt that knew
// of none, or by the server's mistake. It rejects that as long as the upload is resumed.
func OfResumed(e *Error) *Error {
	var api smithy.APIError
	if !errors.As(e.Err, &api) || api.ErrorCode() != "InvalidRequest" {
		return e
	}
	told := *e
	told.Class, told.Reason, told.advice = Transient, ReasonUploadConflict, "the file is sent again"
	return &told
}

// advise gives the advice that only who knows the options can give.
func (c *Client) advise(e *Error) {
	o := c.options
	var dns *net.DNSError
	var hostname x509.HostnameError
	switch {
	case o.Endpoint == "":
	case !o.PathStyle && (errors.As(e.Err, &dns) || errors.As(e.Err, &hostname)):
		e.advice = "the bucket is part of the host name: use --path-style (addressingStyle: Path), or correct the endpoint"
	case strings.HasPrefix(o.Endpoint, "http:") && e.Reason == ReasonConfigurationRejected &&
		Status(e.Err) == http.StatusBadRequest && answersNoS3(e.Err):
		e.advice = "use https in the endpoint if the server speaks TLS there, and check that it speaks S3"
	}
}
