package upload

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"cargoship.dev/operator/internal/s3/s3test"
	"cargoship.dev/operator/test/kit/process"

	"cargoship.dev/operator/internal/s3"
)

// envSink makes the test program a server, so that its work is not counted as the uploader's.
const envSink = "UPLOAD_BENCH_SINK"

func TestMain(m *testing.M) {
	if os.Getenv(envSink) != "" {
		serveSink()
		return
	}
	os.Exit(m.Run())
}

// serveSink takes whatever is uploaded, and tells its address on the first line of stdout.
func serveSink() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	err = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", `"0"`)
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusForbidden) // Nothing is kept that could be compared.
			return
		}
		w.Header().Set("X-Amz-Checksum-Crc64nvme", r.Header.Get("X-Amz-Checksum-Crc64nvme"))
		if s3test.IsCreate(r) {
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
		} else if s3test.IsComplete(r) {
			_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><ETag>"0"</ETag></CompleteMultipartUploadResult>`)
		}
	}))
	fmt.Fprintln(os.Stderr, err)
}

// BenchmarkUpload sends files from the page cache to a server that drops them, and
// reports the processor time that the sender takes, user and system.
func BenchmarkUpload(b *testing.B) {
	for _, c := range []struct {
		name        string
		size, files int
	}{{"16KiB", 16 << 10, 1000}, {"1MiB", 1 << 20, 64}, {"16MiB", 16 << 20, 8}, {"256MiB", 256 << 20, 1}} {
		b.Run(c.name, func(b *testing.B) { benchmarkUpload(b, c.size, c.files) })
	}
}

func benchmarkUpload(b *testing.B, size, files int) {
	client, err := s3.NewClient(b.Context(), s3.Options{
		Bucket: testBucket, Endpoint: startSink(b), PathStyle: true, CredentialsDir: s3test.CredentialsDir(b, "key", "secret"),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	gate := NewGate()
	gate.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 8}})
	u := NewUploader(UploaderOptions{Client: client, Gate: gate, Meter: NewMeter(gate)})
	path := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(path, newFile(size).content, 0o600); err != nil {
		b.Fatal(err)
	}
	before := cpuSeconds(b)
	b.SetBytes(int64(size * files))
	b.ReportAllocs()
	for b.Loop() {
		uploadAll(b, u, path, size, files)
	}
	total := float64(b.N) * float64(size*files)
	b.ReportMetric((cpuSeconds(b)-before)/total*(1<<30), "cpu-s/GiB")
	b.ReportMetric((cpuSeconds(b)-before)/float64(b.N*files)*1e6, "cpu-µs/file")
}

// uploadAll sends from as many goroutines as the window has places and two more.
func uploadAll(b *testing.B, u *Uploader, path string, size, files int) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(10, files) {
		all.Go(func() {
			for next.Add(1) <= int64(files) {
				_, err := u.Upload(b.Context(), File{
					Prefix: "prefix", Key: "key", Size: int64(size),
					Open: func() (SourceFile, error) {
						f, err := os.Open(path)
						return osFile{f}, err
					},
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}

type osFile struct{ *os.File }

func (f osFile) Unchanged() error {
	_, err := f.Stat()
	return err
}

func startSink(b *testing.B) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envSink+"=1")
	out, in, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, os.Stderr
	child, err := process.Start(cmd)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = child.Stop(0); _ = in.Close(); _ = out.Close() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(address)
}

func cpuSeconds(b *testing.B) float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return float64(used.Utime.Sec+used.Stime.Sec) + float64(used.Utime.Usec+used.Stime.Usec)/1e6
}
