package s3test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
)

// Refuse answers with an S3 error.
func Refuse(status int, code string) Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>made up\nfor the test</Message></Error>")
		return true
	}
}

// Reset cuts the connection without an answer.
func Reset(w http.ResponseWriter, _ *http.Request) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	return true
}

// Hang waits until the client has gone, which a server only notices while it reads or
// once it has read all.
func Hang(r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	return true
}

// Lose lets the server do the request and cuts the connection instead of answering.
func (p *Proxy) Lose(w http.ResponseWriter, r *http.Request) bool {
	p.Backend.ServeHTTP(httptest.NewRecorder(), r)
	return Reset(w, r)
}

// Damage flips a bit of the request's body on its way.
func Damage(_ http.ResponseWriter, r *http.Request) bool {
	r.Body = &damaged{ReadCloser: r.Body}
	return false
}

type damaged struct {
	io.ReadCloser
	done bool
}

func (d *damaged) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if n > 0 && !d.done {
		p[0] ^= 1
		d.done = true
	}
	return n, err
}

// Alter passes an answer on with its first byte damaged, or without its last bytes.
func (p *Proxy) Alter(damaging bool) Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		p.Backend.ServeHTTP(&alteringWriter{ResponseWriter: w, damaging: damaging}, r)
		return true
	}
}

type alteringWriter struct {
	http.ResponseWriter
	damaging, done bool
}

func (w *alteringWriter) Write(b []byte) (int, error) {
	if w.done || len(b) == 0 {
		return w.ResponseWriter.Write(b)
	}
	w.done = true
	if !w.damaging {
		_, _ = w.ResponseWriter.Write(b[:len(b)/2])
		panic(http.ErrAbortHandler)
	}
	return w.ResponseWriter.Write(append([]byte{b[0] ^ 1}, b[1:]...))
}

// AnswerXML answers with a document.
func AnswerXML(body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, body)
		return true
	}
}

// SilentWriter keeps quiet about checksums, in headers and bodies, as servers do that do
// not know them.
type SilentWriter struct {
	http.ResponseWriter
	// ETag takes the place of the server's; "" leaves it.
	ETag string
}

// WriteHeader implements http.ResponseWriter.
func (w *SilentWriter) WriteHeader(status int) {
	for name := range w.Header() {
		if strings.HasPrefix(name, "X-Amz-Checksum-") {
			w.Header().Del(name)
		}
	}
	if w.ETag != "" {
		w.Header().Set("Etag", w.ETag)
	}
	if strings.Contains(w.Header().Get("Content-Type"), "xml") {
		w.Header().Del("Content-Length") // Write makes it shorter.
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *SilentWriter) Write(p []byte) (int, error) {
	_, err := w.ResponseWriter.Write(checksumElement().ReplaceAll(p, nil))
	return len(p), err
}

func checksumElement() *regexp.Regexp {
	return regexp.MustCompile(`<Checksum[^>]*>[^<]*</Checksum[^>]*>`)
}
