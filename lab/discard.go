package lab

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Discard is a backend that takes everything and keeps nothing but names, sizes and
// checksums, to measure what a client costs. It checks neither signatures nor digests:
// it answers with those that the client gives.
type Discard struct {
	kept    []pattern
	mu      sync.Mutex
	objects map[string]stored
	uploads map[string]*openUpload
}

// stored is what is known of an object or a part.
type stored struct {
	size int64
	etag string
	// checksum is the name and the value of the header that carried it.
	checksum [2]string
	at       time.Time
	// content is nil where it is not kept.
	content []byte
}

type openUpload struct {
	bucket, key string
	begun       time.Time
	parts       map[int]stored
}

// NewDiscard returns a backend without objects, in which every bucket exists. It keeps
// the contents of objects whose keys begin with one of the patterns, and that are not
// sent in parts or chunks: what a client must read again to do its work.
func NewDiscard(keep ...string) *Discard {
	d := &Discard{objects: map[string]stored{}, uploads: map[string]*openUpload{}}
	for _, keys := range keep {
		d.kept = append(d.kept, newPattern(keys))
	}
	return d
}

// Objects is the number of objects that hold data, and bytes their size; what CargoShip
// keeps about a run, below .cargoship/, is not counted.
func (d *Discard) Objects() (objects int, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, o := range d.objects {
		if strings.Contains(name, "/.cargoship/") {
			continue
		}
		objects++
		bytes += o.size
	}
	return objects, bytes
}

// ServeHTTP implements http.Handler.
func (d *Discard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := parseTarget(r, "")
	name := t.bucket + "/" + t.key
	switch t.operation {
	case opPutObject:
		d.put(w, r, t, name)
	case opUploadPart:
		d.putPart(w, r, t)
	case opCreateUpload:
		d.create(w, t)
	case opCompleteUpload:
		d.complete(w, r, t, name)
	case opAbortUpload:
		d.abort(w, r, t)
	case opListParts:
		d.listParts(w, r, t)
	case opListUploads:
		d.listUploads(w, r, t)
	case opListObjects:
		d.list(w, r, t)
	case opHeadObject:
		d.head(w, r, name)
	case opDeleteObject:
		d.mu.Lock()
		delete(d.objects, name)
		d.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case opHeadBucket:
	case opGetVersioning:
		writeXML(w, struct {
			XMLName xml.Name `xml:"VersioningConfiguration"`
		}{})
	case opGetObject:
		d.get(w, r, name)
	default:
		notImplemented().write(w, r)
	}
}

// take reads a body to its end and makes up what S3 would answer to it.
func take(r *http.Request) (stored, error) {
	body := &tail{}
	var to io.Writer = body
	digest := md5.New()
	digested := r.ContentLength >= 0 && r.ContentLength <= digestedBytes
	if digested {
		to = io.MultiWriter(body, digest)
	}
	size, err := io.CopyBuffer(onlyWriter{to}, r.Body, make([]byte, bufferSize))
	if err != nil {
		return stored{}, err
	}
	if decoded, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64); err == nil {
		size = decoded
	}
	s := stored{size: size, etag: etag(r.Header.Get("Content-Md5")), at: time.Now()}
	if digested && r.Header.Get("X-Amz-Decoded-Content-Length") == "" {
		s.etag = strconv.Quote(hex.EncodeToString(digest.Sum(nil)))
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Checksum-") && name != "X-Amz-Checksum-Algorithm" && name != "X-Amz-Checksum-Type" {
			s.checksum = [2]string{name, r.Header.Get(name)}
		}
	}
	if trailer := r.Header.Get("X-Amz-Trailer"); trailer != "" {
		match := regexp.MustCompile(`(?i)` + regexp.QuoteMeta(trailer) + `:(\S+)`).FindSubmatch(body.end)
		if match != nil {
			s.checksum = [2]string{http.CanonicalHeaderKey(trailer), string(match[1])}
		}
	}
	return s, nil
}

// digestedBytes is the largest body, in bytes, whose ETag is its MD5 although the client does not
// give it: what that costs is not to be taken for the client's cost.
const digestedBytes = 64 << 10

// onlyWriter hides everything but Write, so that copying uses the buffer given.
type onlyWriter struct{ io.Writer }

// tail keeps the end of what is written, where trailers are.
type tail struct{ end []byte }

// tailBytes holds the longest trailer with its signature.
const tailBytes = 512

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.end = append(t.end, p[max(0, len(p)-tailBytes):]...)
	if len(t.end) > tailBytes {
		t.end = append(t.end[:0], t.end[len(t.end)-tailBytes:]...)
	}
	return len(p), nil
}

// etag is the MD5 digest that the client gives, base64 as in its header, or else one
// that no client takes for a digest.
func etag(digest string) string {
	if sum, err := base64.StdEncoding.DecodeString(digest); err == nil && len(sum) == 16 {
		return strconv.Quote(hex.EncodeToString(sum))
	}
	return `"` + strings.ToLower(rand.Text()) + `-1"`
}

func (s stored) write(h http.Header) {
	h.Set("ETag", s.etag)
	if s.checksum[0] != "" {
		h.Set(s.checksum[0], s.checksum[1])
	}
}

// keeps tells whether the contents of a key are kept.
func (d *Discard) keeps(key string) bool {
	return slices.ContainsFunc(d.kept, func(p pattern) bool { _, ok := p.match(key); return ok })
}

func (d *Discard) put(w http.ResponseWriter, r *http.Request, t target, name string) {
	var content bytes.Buffer
	if d.keeps(t.key) {
		r.Body = io.NopCloser(io.TeeReader(r.Body, &content))
	}
	s, err := take(r)
	if err != nil {
		return
	}
	if s.content = content.Bytes(); s.content == nil && d.keeps(t.key) {
		s.content = []byte{}
	}
	d.mu.Lock()
	_, there := d.objects[name]
	exists := there && r.Header.Get("If-None-Match") == "*"
	if !exists {
		d.objects[name] = s
	}
	d.mu.Unlock()
	if exists {
		preconditionFailed().write(w, r)
		return
	}
	s.write(w.Header())
	w.Header().Set("Content-Length", "0")
}

func preconditionFailed() s3Error {
	return s3Error{http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"}
}

func noSuchUpload() s3Error {
	return s3Error{http.StatusNotFound, "NoSuchUpload", "The specified multipart upload does not exist."}
}

func (d *Discard) create(w http.ResponseWriter, t target) {
	id := rand.Text()
	d.mu.Lock()
	d.uploads[id] = &openUpload{t.bucket, t.key, time.Now(), map[int]stored{}}
	d.mu.Unlock()
	writeXML(w, struct {
		XMLName     xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket, Key string
		UploadID    string `xml:"UploadId"`
	}{Bucket: t.bucket, Key: t.key, UploadID: id})
}

func (d *Discard) putPart(w http.ResponseWriter, r *http.Request, t target) {
	number, err := strconv.Atoi(t.part)
	if err != nil || number < 1 || number > 10_000 {
		s3Error{http.StatusBadRequest, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive"}.write(w, r)
		return
	}
	s, err := take(r)
	if err != nil {
		return
	}
	d.mu.Lock()
	u := d.uploads[t.uploadID]
	if u != nil {
		u.parts[number] = s
	}
	d.mu.Unlock()
	if u == nil {
		noSuchUpload().write(w, r)
		return
	}
	s.write(w.Header())
	w.Header().Set("Content-Length", "0")
}

func (d *Discard) complete(w http.ResponseWriter, r *http.Request, t target, name string) {
	asked, err := take(r)
	if err != nil {
		return
	}
	d.mu.Lock()
	u := d.uploads[t.uploadID]
	if u != nil {
		delete(d.uploads, t.uploadID)
		whole := stored{etag: etag(""), checksum: asked.checksum, at: time.Now()}
		for _, p := range u.parts {
			whole.size += p.size
		}
		d.objects[name] = whole
		asked = whole
	}
	d.mu.Unlock()
	if u == nil {
		noSuchUpload().write(w, r)
		return
	}
	writeXML(w, struct {
		XMLName           xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket, Key, ETag string
		Checksum          []any
	}{Bucket: t.bucket, Key: t.key, ETag: asked.etag, Checksum: asked.elements()})
}

// elements is the checksum as an element such as ChecksumCRC32.
func (s stored) elements() []any {
	algorithm, ok := strings.CutPrefix(s.checksum[0], "X-Amz-Checksum-")
	if !ok {
		return nil
	}
	type element struct {
		XMLName xml.Name
		Value   string `xml:",chardata"`
	}
	return []any{element{xml.Name{Local: "Checksum" + strings.ToUpper(algorithm)}, s.checksum[1]}}
}

func (d *Discard) abort(w http.ResponseWriter, r *http.Request, t target) {
	d.mu.Lock()
	_, there := d.uploads[t.uploadID]
	delete(d.uploads, t.uploadID)
	d.mu.Unlock()
	if !there {
		noSuchUpload().write(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (d *Discard) head(w http.ResponseWriter, r *http.Request, name string) {
	d.mu.Lock()
	o, there := d.objects[name]
	d.mu.Unlock()
	if !there {
		s3Error{http.StatusNotFound, "NoSuchKey", ""}.write(w, r)
		return
	}
	o.write(w.Header())
	w.Header().Set("Content-Length", strconv.FormatInt(o.size, 10))
	w.Header().Set("Last-Modified", o.at.UTC().Format(http.TimeFormat))
}

// get answers with contents that are kept, or a part of them.
func (d *Discard) get(w http.ResponseWriter, r *http.Request, name string) {
	d.mu.Lock()
	o := d.objects[name]
	d.mu.Unlock()
	if o.content == nil {
		s3Error{http.StatusNotFound, "NoSuchKey", "This server keeps no contents of that key."}.write(w, r)
		return
	}
	w.Header().Set("ETag", o.etag)
	w.Header().Set("Content-Type", "application/octet-stream")
	if o.checksum[0] != "" && r.Header.Get("Range") == "" {
		w.Header().Set(o.checksum[0], o.checksum[1])
	}
	http.ServeContent(w, r, "", o.at, bytes.NewReader(o.content))
}

// stamp is a time as S3 writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func writeXML(w http.ResponseWriter, answer any) {
	body, err := xml.Marshal(answer)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(body)))
	// A client that has gone away needs no answer.
	_, _ = w.Write(append([]byte(xml.Header), body...))
}
