package lab

import (
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
)

// Operations that the lab tells apart, by their S3 names.
const (
	opPutObject      = "PutObject"
	opCopyObject     = "CopyObject"
	opGetObject      = "GetObject"
	opHeadObject     = "HeadObject"
	opDeleteObject   = "DeleteObject"
	opCreateUpload   = "CreateMultipartUpload"
	opUploadPart     = "UploadPart"
	opCompleteUpload = "CompleteMultipartUpload"
	opAbortUpload    = "AbortMultipartUpload"
	opListParts      = "ListParts"
	opListUploads    = "ListMultipartUploads"
	opListObjects    = "ListObjects"
	opDeleteObjects  = "DeleteObjects"
	opHeadBucket     = "HeadBucket"
	opGetVersioning  = "GetBucketVersioning"
	opOther          = "Other"
)

func operations() []string {
	return []string{
		opPutObject, opCopyObject, opGetObject, opHeadObject, opDeleteObject, opCreateUpload, opUploadPart,
		opCompleteUpload, opAbortUpload, opListParts, opListUploads, opListObjects, opDeleteObjects, opHeadBucket, opGetVersioning, opOther,
	}
}

// target is what a request is about.
type target struct {
	operation, bucket, key string
	// part is the part number, uploadID the upload, as the client wrote them.
	part, uploadID string
}

// parseTarget reads bucket and key from the path or, below hostSuffix, the bucket from
// the host name.
func parseTarget(r *http.Request, hostSuffix string) target {
	path := strings.TrimPrefix(r.URL.Path, "/")
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	var t target
	if bucket, ok := strings.CutSuffix(host, "."+hostSuffix); ok && hostSuffix != "" {
		t.bucket, t.key = bucket, path
	} else {
		t.bucket, t.key, _ = strings.Cut(path, "/")
	}
	query := r.URL.Query()
	t.part, t.uploadID = query.Get("partNumber"), query.Get("uploadId")
	if t.key == "" {
		t.operation = bucketOperation(r.Method, query.Has)
	} else {
		t.operation = objectOperation(r, query.Has)
	}
	return t
}

func bucketOperation(method string, has func(string) bool) string {
	switch {
	case method == http.MethodHead:
		return opHeadBucket
	case method == http.MethodGet && has("uploads"):
		return opListUploads
	case method == http.MethodPost && has("delete"):
		return opDeleteObjects
	case method == http.MethodGet && has("versioning"):
		return opGetVersioning
	case method == http.MethodGet && !has("location") && !has("acl") && !has("policy"):
		return opListObjects
	default:
		return opOther
	}
}

func objectOperation(r *http.Request, has func(string) bool) string {
	switch {
	case r.Method == http.MethodPut && has("partNumber"):
		return opUploadPart
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		return opCopyObject
	case r.Method == http.MethodPost && has("uploads"):
		return opCreateUpload
	case r.Method == http.MethodPost && has("uploadId"):
		return opCompleteUpload
	case r.Method == http.MethodDelete && has("uploadId"):
		return opAbortUpload
	case r.Method == http.MethodGet && has("uploadId"):
		return opListParts
	case has("tagging"), has("acl"), has("retention"), has("legal-hold"):
		return opOther
	}
	switch r.Method {
	case http.MethodPut:
		return opPutObject
	case http.MethodGet:
		return opGetObject
	case http.MethodHead:
		return opHeadObject
	case http.MethodDelete:
		return opDeleteObject
	default:
		return opOther
	}
}

// writes says whether the request changes the bucket.
func (t target) writes() bool {
	switch t.operation {
	case opPutObject, opCopyObject, opDeleteObject, opCreateUpload, opUploadPart, opCompleteUpload, opAbortUpload, opDeleteObjects:
		return true
	default:
		return false
	}
}

// stores says whether the request's body is data.
func (t target) stores() bool { return t.operation == opPutObject || t.operation == opUploadPart }

// data names the object or the part.
func (t target) data() string { return t.bucket + "/" + t.key + "\n" + t.part }

// pattern matches the beginning of keys.
type pattern struct{ expression *regexp.Regexp }

func newPattern(keys string) pattern {
	text := regexp.QuoteMeta(keys)
	text = strings.NewReplacer(`\*`, `[^/]*`, `\?`, `[^/]`).Replace(text)
	return pattern{regexp.MustCompile("^" + text)}
}

// match returns the text that the pattern matches at the beginning of a key.
func (p pattern) match(key string) (text string, ok bool) {
	at := p.expression.FindStringIndex(key)
	if at == nil {
		return "", false
	}
	return key[:at[1]], true
}

type connKey struct{}

// withConn lets requests find the connection that they came by.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// reset ends the connection of a request with a TCP reset. It does not return.
func reset(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		c.reset()
	}
	panic(http.ErrAbortHandler)
}
