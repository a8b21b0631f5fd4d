package s3

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/s3/s3test"
)

func TestProbeClassifiesWhatIsWrong(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, testBucket)
	good := Options{Bucket: testBucket, Endpoint: server.Endpoint, PathStyle: true, CredentialsDir: server.CredentialsDir(t)}
	busy := s3test.NewProxy(t, server.Endpoint)
	busy.Times(s3test.Always, func(*http.Request) bool { return true }, s3test.Refuse(503, "SlowDown"))
	for _, c := range []struct {
		name   string
		change func(*Options)
		class  Class
		reason string
	}{
		{"unknown key", func(o *Options) { o.CredentialsDir = s3test.CredentialsDir(t, "nobody", "x") }, Credentials, ReasonCredentialsRejected},
		{"wrong secret", func(o *Options) { o.CredentialsDir = s3test.CredentialsDir(t, server.AccessKey, "x") }, Credentials, ReasonCredentialsRejected},
		{"empty secret", func(o *Options) { o.CredentialsDir = s3test.CredentialsDir(t, server.AccessKey, "\n") }, Credentials, ReasonCredentialsMissing},
		{"no credentials", func(o *Options) { o.CredentialsDir = t.TempDir() }, Credentials, ReasonCredentialsMissing},
		{"wrong region", func(o *Options) { o.Region = "eu-west-1" }, Configuration, ReasonRegionMismatch},
		{"impossible region", func(o *Options) { o.Region = "mars!" }, Configuration, ReasonConfigurationRejected},
		{"no bucket", func(o *Options) { o.Bucket = "nowhere" }, Missing, ReasonBucketNotFound},
		{"impossible bucket", func(o *Options) { o.Bucket = "b" }, Configuration, ReasonConfigurationRejected},
		{"nobody listens", func(o *Options) { o.Endpoint = "http://127.0.0.1:1" }, Configuration, ReasonEndpointUnreachable},
		{"no such host", func(o *Options) { o.Endpoint = "http://nowhere.invalid" }, Configuration, ReasonEndpointUnreachable},
		{"https to http", func(o *Options) { o.Endpoint = strings.Replace(o.Endpoint, "http", "https", 1) }, Configuration, ReasonEndpointUnreachable},
		{"throttled", func(o *Options) { o.Endpoint = busy.URL }, Throttled, ReasonThrottled},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.change(&o)
			begun := time.Now()
			e := asError(t, newClient(t, o).Probe(t.Context()), c.class, c.reason)
			if e.Blocks() != (c.class != Throttled) {
				t.Errorf("Blocks = %v", e.Blocks())
			}
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("took %v, want seconds", took)
			}
			if strings.Contains(e.Error(), server.SecretKey) {
				t.Errorf("the error tells the secret: %v", e)
			}
		})
	}
	if err := newClient(t, good).Probe(t.Context()); err != nil {
		t.Errorf("Probe of what is right: %v", err)
	}
}

func TestNewClientRefusesWhatCannotWork(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(notPEM, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Options)
		reason string
	}{
		{"no bucket", func(o *Options) { o.Bucket = "" }, ReasonConfigurationRejected},
		{"unknown checksum", func(o *Options) { o.Checksum = "SHA1" }, ReasonConfigurationRejected},
		{"no scheme", func(o *Options) { o.Endpoint = "127.0.0.1:9000" }, ReasonEndpointInvalid},
		{"odd scheme", func(o *Options) { o.Endpoint = "ftp://host" }, ReasonEndpointInvalid},
		{"no host", func(o *Options) { o.Endpoint = "http://" }, ReasonEndpointInvalid},
		{"password in the endpoint", func(o *Options) { o.Endpoint = "http://user:pa55@host" }, ReasonEndpointInvalid},
		{"no CA bundle", func(o *Options) { o.CAFile = notPEM + ".missing" }, ReasonCABundleInvalid},
		{"CA bundle without a certificate", func(o *Options) { o.CAFile = notPEM }, ReasonCABundleInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Bucket: testBucket, CredentialsDir: t.TempDir()}
			c.change(&o)
			_, err := NewClient(t.Context(), o)
			if e := asError(t, err, Configuration, c.reason); strings.Contains(e.Error(), "pa55") {
				t.Errorf("the error tells the password: %v", e)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	certFile, keyFile := s3test.SelfSigned(t)
	server := s3test.StartTLS(t, certFile, keyFile)
	server.CreateBucket(t, testBucket)
	good := Options{
		Bucket: testBucket, Endpoint: server.Endpoint, PathStyle: true,
		CredentialsDir: server.CredentialsDir(t), CAFile: certFile,
	}
	client := newClient(t, good)
	content := bytes.Repeat([]byte("0123456789abcdef"), 3*mebi/16)
	if err := client.Put(t.Context(), "tls", content); err != nil {
		t.Errorf("Put over TLS: %v", err)
	}
	got, err := os.ReadFile(server.Path(testBucket, "tls"))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("object over TLS: %v, %d bytes, want those that were put", err, len(got))
	}

	untrusted := good
	untrusted.CAFile = ""
	err = newClient(t, untrusted).Probe(t.Context())
	wantError(t, err, Configuration, ReasonCertificateNotTrusted)
	misnamed := good
	misnamed.Endpoint = strings.Replace(good.Endpoint, "127.0.0.1", "localhost", 1)
	err = newClient(t, misnamed).Probe(t.Context())
	wantError(t, err, Configuration, ReasonCertificateNotTrusted)
}

// A bundle takes the place of the system's roots: it narrows what is trusted.
func TestABundleIsTrustedInsteadOfTheSystem(t *testing.T) {
	certFile, _ := s3test.SelfSigned(t)
	content, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	want := x509.NewCertPool()
	want.AppendCertsFromPEM(content)
	got, err := trustedRoots(certFile)
	if err != nil || !got.Equal(want) {
		t.Errorf("trustedRoots trusts more than the bundle, or fails: %v", err)
	}
}

// Keys of any characters, over more than one page of 1,000, come back as they are.
func TestPutListGet(t *testing.T) {
	r := newRig(t)
	want := []string{"base/a b+c%2Fd&e=ü\n\t<x>", "base/ünï"}
	for i := range 1100 {
		want = append(want, fmt.Sprintf("base/many/%04d", i))
	}
	slices.Sort(want)
	for _, key := range append([]string{"bas", "other/x"}, want...) {
		if err := r.Put(t.Context(), key, []byte("body of "+key)); err != nil {
			t.Fatalf("Put %q: %v", key, err)
		}
	}
	got, err := r.List(t.Context(), "base/")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("List = %d keys, %v, want %d", len(got), err, len(want))
	}
	for _, key := range []string{want[0], want[1], "base/many/0999"} {
		body, err := r.Get(t.Context(), key)
		if err != nil || string(body) != "body of "+key {
			t.Errorf("Get %q = %q, %v", key, body, err)
		}
	}
	if got, err := r.List(t.Context(), "nothing/"); err != nil || len(got) != 0 {
		t.Errorf("List of nothing = %v, %v", got, err)
	}
}

func TestOpenUploadsOverPages(t *testing.T) {
	r := newRig(t)
	const uploads = 1005
	want := map[string]bool{}
	for i := range uploads {
		key := fmt.Sprintf("base/%d +ü", i%300)
		u, err := r.CreateUpload(t.Context(), Object{Key: key}, ChecksumCRC64NVME)
		if err != nil {
			t.Fatalf("create: %v", err)
		}
		want[u.Key+u.UploadID] = true
	}
	got, err := r.OpenUploads(t.Context(), "base/")
	if err != nil || len(got) != uploads {
		t.Fatalf("OpenUploads = %d, %v, want %d", len(got), err, uploads)
	}
	for _, u := range got {
		if !want[u.Key+u.UploadID] {
			t.Errorf("unknown upload %v", u)
		}
	}
}

func TestGet(t *testing.T) {
	r := newRig(t)
	body := bytes.Repeat([]byte("0123456789"), 1000)
	if err := r.Put(t.Context(), "object", body); err != nil {
		t.Fatalf("Put: %v", err)
	}
	_, err := r.Get(t.Context(), "missing")
	if e := asError(t, err, Missing, ReasonObjectNotFound); !errors.Is(err, ErrNotFound) || e.Blocks() {
		t.Errorf("error %v is not ErrNotFound, or blocks", err)
	}
	for name, f := range map[string]s3test.Fault{
		"throttled": s3test.Refuse(503, "SlowDown"), "reset": s3test.Reset, "cut short": r.proxy.Alter(false), "damaged": r.proxy.Alter(true),
	} {
		r.proxy.Times(2, s3test.IsGet, f)
		got, err := r.Get(t.Context(), "object")
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("Get of an object that is %s twice = %d bytes, %v", name, len(got), err)
		}
	}
	r.proxy.Times(s3test.Always, s3test.IsGet, r.proxy.Alter(true))
	_, err = r.Get(t.Context(), "object")
	wantError(t, err, Integrity, ReasonChecksumMismatch)
}

func TestPutSurvivesFaults(t *testing.T) {
	r := newRig(t)
	for name, f := range map[string]s3test.Fault{
		"throttled": s3test.Refuse(503, "SlowDown"), "lost": r.proxy.Lose, "damaged": s3test.Damage, "failed": s3test.Refuse(500, "InternalError"),
	} {
		r.proxy.Times(2, s3test.IsPut, f)
		if err := r.Put(t.Context(), name, []byte("body of "+name)); err != nil {
			t.Errorf("Put %s: %v", name, err)
		}
		r.wantStored(t, name, []byte("body of "+name))
	}
}

func TestDefaultCredentialsComeFromTheEnvironment(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, testBucket)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	o := Options{Bucket: testBucket, Endpoint: server.Endpoint, PathStyle: true}
	if err := newClient(t, o).Probe(t.Context()); err != nil {
		t.Errorf("Probe: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	err := newClient(t, o).Probe(t.Context())
	wantError(t, err, Credentials, ReasonCredentialsMissing)
}

// A mounted Secret is replaced by moving a link, and a reading must not mix old and new.
func TestCredentialFilesAreNeverMixed(t *testing.T) {
	dir := t.TempDir()
	provider := credentialFiles{dir}
	for i := range 2 {
		version := s3test.CredentialsDir(t, fmt.Sprint("id", i), fmt.Sprint("secret", i))
		if err := os.Rename(version, filepath.Join(dir, fmt.Sprint("v", i))); err != nil {
			t.Fatal(err)
		}
	}
	swap := func(i int) {
		if err := os.Symlink(fmt.Sprint("v", i%2), filepath.Join(dir, "..next")); err != nil {
			t.Error(err)
		}
		if err := os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")); err != nil {
			t.Error(err)
		}
	}
	swap(0)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		if err := os.Symlink("..data/"+name, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Microsecond):
				swap(i)
			}
		}
	}()
	for range 500 {
		c, err := provider.Retrieve(t.Context())
		if err == nil && strings.TrimPrefix(c.AccessKeyID, "id") != strings.TrimPrefix(c.SecretAccessKey, "secret") {
			t.Errorf("mixed credentials %s and %s", c.AccessKeyID, c.SecretAccessKey)
		}
	}
	close(stop)
	<-stopped
}
