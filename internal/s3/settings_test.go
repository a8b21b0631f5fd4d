package s3

import (
	"crypto/sha1"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// cleanEnvironment leaves nothing of AWS tools and proxies but what the test sets.
func cleanEnvironment(t *testing.T, env map[string]string) {
	t.Helper()
	for _, line := range os.Environ() {
		name, _, _ := strings.Cut(line, "=")
		if upper := strings.ToUpper(name); strings.HasPrefix(upper, "AWS_") || strings.HasSuffix(upper, "_PROXY") {
			t.Setenv(name, "") // Which has the variable restored at the end.
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The SDK has found the home of whoever runs the tests already.
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(env["HOME"], ".aws/config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(env["HOME"], ".aws/credentials"))
	for name, value := range env {
		t.Setenv(name, value)
	}
}

// awsHome makes a home with the files of the AWS tools.
func awsHome(t *testing.T, files map[string]string) string {
	t.Helper()
	home := t.TempDir()
	for name, text := range files {
		p := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

const amazon = "https://bucket.s3.us-east-1.amazonaws.com"

// knownSettings are what the AWS tools take, and where requests go by it.
var knownSettings = map[string]struct {
	env    map[string]string
	config string
	change func(*Options)
	// bucket and region are what requests go to.
	bucket, region string
}{
	"nothing":               {nil, "", nil, amazon, "us-east-1"},
	"AWS_REGION":            {map[string]string{"AWS_REGION": "eu-west-1"}, "", nil, "https://bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"},
	"AWS_DEFAULT_REGION":    {map[string]string{"AWS_DEFAULT_REGION": "eu-west-1"}, "", nil, "https://bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"},
	"region of the profile": {nil, "[default]\nregion = eu-west-1\n", nil, "https://bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"},
	"AWS_PROFILE":           {map[string]string{"AWS_PROFILE": "dev"}, "[profile dev]\nregion = eu-west-1\n", nil, "https://bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"},
	"AWS_DEFAULT_PROFILE":   {map[string]string{"AWS_DEFAULT_PROFILE": "dev"}, "[profile dev]\nregion = eu-west-1\n", nil, "https://bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"},
	"environment before profile": {map[string]string{"AWS_REGION": "eu-west-2"}, "[default]\nregion = eu-west-1\n", nil,
		"https://bucket.s3.eu-west-2.amazonaws.com", "eu-west-2"},
	"--region": {map[string]string{"AWS_REGION": "eu-west-1"}, "", func(o *Options) { o.Region = "eu-west-3" },
		"https://bucket.s3.eu-west-3.amazonaws.com", "eu-west-3"},
	"AWS_ENDPOINT_URL":                    {map[string]string{"AWS_ENDPOINT_URL": "http://all.test:1"}, "", nil, "http://bucket.all.test:1", "us-east-1"},
	"AWS_ENDPOINT_URL_S3":                 {map[string]string{"AWS_ENDPOINT_URL": "http://all.test:1", "AWS_ENDPOINT_URL_S3": "http://s3.test:1"}, "", nil, "http://bucket.s3.test:1", "us-east-1"},
	"endpoint_url":                        {nil, "[default]\nendpoint_url = http://s3.test:1\n", nil, "http://bucket.s3.test:1", "us-east-1"},
	"services":                            {nil, "[default]\nservices = here\n[services here]\ns3 =\n  endpoint_url = http://s3.test:1\n", nil, "http://bucket.s3.test:1", "us-east-1"},
	"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": {map[string]string{"AWS_ENDPOINT_URL": "http://all.test:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "", nil, amazon, "us-east-1"},
	"ignore_configured_endpoint_urls":     {nil, "[default]\nendpoint_url = http://s3.test:1\nignore_configured_endpoint_urls = true\n", nil, amazon, "us-east-1"},
	"--endpoint-url": {map[string]string{"AWS_ENDPOINT_URL_S3": "http://s3.test:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "",
		func(o *Options) { o.Endpoint = "http://flag.test:1" }, "http://bucket.flag.test:1", "us-east-1"},
	"AWS_USE_DUALSTACK_ENDPOINT":   {map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "", nil, "https://bucket.s3.dualstack.us-east-1.amazonaws.com", "us-east-1"},
	"use_dualstack_endpoint":       {nil, "[default]\nuse_dualstack_endpoint = true\n", nil, "https://bucket.s3.dualstack.us-east-1.amazonaws.com", "us-east-1"},
	"use_dualstack_endpoint of s3": {nil, "[default]\ns3 =\n  use_dualstack_endpoint = true\n", nil, "https://bucket.s3.dualstack.us-east-1.amazonaws.com", "us-east-1"},
	"AWS_USE_FIPS_ENDPOINT":        {map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, "", nil, "https://bucket.s3-fips.us-east-1.amazonaws.com", "us-east-1"},
	"use_fips_endpoint":            {nil, "[default]\nuse_fips_endpoint = true\n", nil, "https://bucket.s3-fips.us-east-1.amazonaws.com", "us-east-1"},
	"use_accelerate_endpoint":      {nil, "[default]\ns3 =\n  use_accelerate_endpoint = true\n", nil, "https://bucket.s3-accelerate.amazonaws.com", "us-east-1"},
	"addressing_style":             {nil, "[default]\nregion = eu-west-1\ns3 =\n  max_concurrent_requests = 3\n  addressing_style = path\noutput = json\n", nil, "https://s3.eu-west-1.amazonaws.com/bucket", "eu-west-1"},
	"addressing_style of a profile": {map[string]string{"AWS_PROFILE": "dev"}, "[default]\n[profile dev]\ns3 =\n    addressing_style = path\n", nil,
		"https://s3.us-east-1.amazonaws.com/bucket", "us-east-1"},
	"addressing_style virtual":  {nil, "[default]\ns3 =\n  addressing_style = virtual\n", nil, amazon, "us-east-1"},
	"--path-style":              {nil, "[default]\ns3 =\n  addressing_style = virtual\n", func(o *Options) { o.PathStyle = true }, "https://s3.us-east-1.amazonaws.com/bucket", "us-east-1"},
	"--path-style=false":        {nil, "[default]\ns3 =\n  addressing_style = path\n", func(o *Options) { o.StyleGiven = true }, amazon, "us-east-1"},
	"AWS_MAX_ATTEMPTS, ignored": {map[string]string{"AWS_MAX_ATTEMPTS": "1", "AWS_RETRY_MODE": "adaptive"}, "[default]\nmax_attempts = 1\n", nil, amazon, "us-east-1"},
	"checksums, ignored":        {map[string]string{"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}, "", nil, amazon, "us-east-1"},
	"no files":                  {map[string]string{"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}, "[default]\nregion = eu-west-1\n", nil, amazon, "us-east-1"},
	"in a pod with a Secret": {map[string]string{"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://all.test:1"}, "[default]\ns3 =\n  addressing_style = path\n",
		func(o *Options) { o.CredentialsDir, o.Ambient = "/somewhere", false }, amazon, "us-east-1"},
	"--credentials-dir": {map[string]string{"AWS_REGION": "eu-west-1"}, "", func(o *Options) { o.CredentialsDir = "/somewhere" }, "https://bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"},
}

// TestSettings has each setting come from where the AWS tools take it.
func TestSettings(t *testing.T) {
	for name, c := range knownSettings {
		t.Run(name, func(t *testing.T) {
			cleanEnvironment(t, map[string]string{"HOME": awsHome(t, map[string]string{".aws/config": c.config})})
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			o := Options{Bucket: "bucket", Ambient: true}
			if c.change != nil {
				c.change(&o)
			}
			client, err := NewClient(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if got := strings.TrimSuffix(client.wire.bucket.String(), "/"); got != c.bucket || client.wire.region != c.region {
				t.Errorf("requests go to %s in %s, want %s in %s", got, client.wire.region, c.bucket, c.region)
			}
		})
	}
}

// cloud answers as the services do that give out credentials.
func cloud(t *testing.T) string {
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	sts := func(action string) string {
		return fmt.Sprintf(`<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>KEY</AccessKeyId>`+
			`<SecretAccessKey>SECRET</SecretAccessKey><SessionToken>TOKEN</SessionToken><Expiration>%[2]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`, action, expires)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := ""
		switch {
		case r.Method == http.MethodPut:
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
			body = "token"
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/", r.URL.Path == "/latest/meta-data/iam/security-credentials-extended/":
			body = "role"
		case strings.HasPrefix(r.URL.Path, "/latest/meta-data/iam/"):
			body = fmt.Sprintf(`{"Code":"Success","AccessKeyId":"KEY","SecretAccessKey":"SECRET","Token":"TOKEN","Expiration":%q}`, expires)
		case r.URL.Path == "/container":
			body = fmt.Sprintf(`{"AccessKeyId":"KEY","SecretAccessKey":"SECRET","Token":"TOKEN","Expiration":%q}`, expires)
		case r.URL.Path == "/federation/credentials":
			body = fmt.Sprintf(`{"roleCredentials":{"accessKeyId":"KEY","secretAccessKey":"SECRET","sessionToken":"TOKEN","expiration":%d}}`, time.Now().Add(time.Hour).UnixMilli())
		default:
			_ = r.ParseForm()
			body = sts(r.Form.Get("Action"))
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestCredentialSources has credentials come from where the AWS tools take them.
func TestCredentialSources(t *testing.T) {
	service := cloud(t)
	web := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(web, []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	const keys = "aws_access_key_id = KEY\naws_secret_access_key = SECRET\naws_session_token = TOKEN\n"
	const role = "role_arn = arn:aws:iam::123456789012:role/archiver\n"
	const start = "https://start.test"
	ssoToken := fmt.Sprintf(`{"startUrl":%q,"region":"us-east-1","accessToken":"access","expiresAt":%q}`, start, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	for name, c := range map[string]struct {
		env   map[string]string
		files map[string]string
	}{
		"environment":                 {map[string]string{"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_SESSION_TOKEN": "TOKEN"}, nil},
		"credentials file":            {nil, map[string]string{".aws/credentials": "[default]\n" + keys}},
		"profile":                     {map[string]string{"AWS_PROFILE": "dev"}, map[string]string{".aws/credentials": "[dev]\n" + keys}},
		"AWS_SHARED_CREDENTIALS_FILE": {map[string]string{"AWS_SHARED_CREDENTIALS_FILE": "$HOME/elsewhere"}, map[string]string{"elsewhere": "[default]\n" + keys}},
		"AWS_CONFIG_FILE":             {map[string]string{"AWS_CONFIG_FILE": "$HOME/elsewhere"}, map[string]string{"elsewhere": "[default]\n" + keys}},
		"credential_process":          {nil, map[string]string{".aws/config": "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"KEY\",\"SecretAccessKey\":\"SECRET\",\"SessionToken\":\"TOKEN\"}'\n"}},
		"assumed role": {map[string]string{"AWS_ENDPOINT_URL_STS": service}, map[string]string{
			".aws/config": "[default]\nregion = us-east-1\n" + role + "source_profile = base\n", ".aws/credentials": "[base]\naws_access_key_id = A\naws_secret_access_key = B\n"}},
		"web identity": {map[string]string{"AWS_ENDPOINT_URL_STS": service, "AWS_REGION": "us-east-1",
			"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/archiver", "AWS_WEB_IDENTITY_TOKEN_FILE": web}, nil},
		"web identity of a profile": {map[string]string{"AWS_ENDPOINT_URL_STS": service}, map[string]string{
			".aws/config": "[default]\nregion = us-east-1\n" + role + "web_identity_token_file = " + web + "\n"}},
		"sso": {map[string]string{"AWS_ENDPOINT_URL_SSO": service}, map[string]string{
			".aws/config": "[default]\nsso_start_url = " + start + "\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = archiver\n",
			fmt.Sprintf(".aws/sso/cache/%x.json", sha1.Sum([]byte(start))): ssoToken}},
		"container": {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": service + "/container"}, nil},
		"instance":  {map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": service}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			home := awsHome(t, c.files)
			cleanEnvironment(t, map[string]string{"HOME": home})
			for name, value := range c.env {
				t.Setenv(name, strings.ReplaceAll(value, "$HOME", home))
			}
			client, err := NewClient(t.Context(), Options{Bucket: "bucket", Ambient: true})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			got, err := client.credentials.Retrieve(t.Context())
			if err != nil || got.AccessKeyID != "KEY" || got.SecretAccessKey != "SECRET" || got.SessionToken != "TOKEN" {
				t.Errorf("credentials %q from %s, %v", got.AccessKeyID, got.Source, err)
			}
		})
	}
}

// TestTrustedCertificates names the issuer of a server's certificate in each of the ways.
func TestTrustedCertificates(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(other, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env    map[string]string
		config string
		caFile string
		want   bool
	}{
		"none":           {nil, "", "", false},
		"AWS_CA_BUNDLE":  {map[string]string{"AWS_CA_BUNDLE": bundle}, "", "", true},
		"ca_bundle":      {nil, "[default]\nca_bundle = " + bundle + "\n", "", true},
		"--ca-file":      {nil, "", bundle, true},
		"of a profile":   {map[string]string{"AWS_PROFILE": "dev"}, "[profile dev]\nca_bundle = " + bundle + "\n", "", true},
		"of none chosen": {nil, "[profile dev]\nca_bundle = " + bundle + "\n", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			cleanEnvironment(t, map[string]string{"HOME": awsHome(t, map[string]string{".aws/config": c.config}),
				"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "SECRET"})
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			client, err := NewClient(t.Context(), Options{Bucket: "bucket", Ambient: true, Endpoint: server.URL, PathStyle: true, CAFile: c.caFile})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			err = client.Probe(t.Context())
			if c.want && err != nil {
				t.Errorf("not trusted: %v", err)
			} else if !c.want {
				wantError(t, err, Configuration, ReasonCertificateNotTrusted)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		cleanEnvironment(t, map[string]string{"HOME": t.TempDir(), "AWS_CA_BUNDLE": other})
		_, err := NewClient(t.Context(), Options{Bucket: "bucket", Ambient: true})
		wantError(t, err, Configuration, ReasonConfigurationRejected)
	})
}

func TestWrongSettings(t *testing.T) {
	for name, c := range map[string]struct {
		env    map[string]string
		reason string
	}{
		"no such profile": {map[string]string{"AWS_PROFILE": "gone"}, ReasonConfigurationRejected},
		"no URL":          {map[string]string{"AWS_ENDPOINT_URL_S3": "s3.test:1"}, ReasonEndpointInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			cleanEnvironment(t, map[string]string{"HOME": t.TempDir()})
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			_, err := NewClient(t.Context(), Options{Bucket: "bucket", Ambient: true})
			wantError(t, err, Configuration, c.reason)
		})
	}
}

// TestProxies sends through a proxy, past it, and to some that are none.
func TestProxies(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Host)
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer proxy.Close()
	const dead = "http://127.0.0.1:1"
	for name, c := range map[string]struct {
		env      map[string]string
		endpoint string
		// asked is what the proxy was asked for, advice what the error says.
		asked, advice string
	}{
		"HTTP_PROXY":                 {map[string]string{"HTTP_PROXY": proxy.URL}, "http://s3.test", "HEAD s3.test", ""},
		"http_proxy":                 {map[string]string{"http_proxy": proxy.URL}, "http://s3.test", "HEAD s3.test", ""},
		"NO_PROXY":                   {map[string]string{"HTTP_PROXY": proxy.URL, "NO_PROXY": "127.0.0.2"}, "http://127.0.0.2:1", "", "check the endpoint"},
		"HTTPS_PROXY, which refuses": {map[string]string{"HTTPS_PROXY": proxy.URL}, "https://s3.test", "CONNECT s3.test:443", "proxy .*: it answers CONNECT with 403 Forbidden: correct HTTP_PROXY"},
		"HTTP_PROXY that is dead":    {map[string]string{"HTTP_PROXY": dead}, "http://s3.test", "", "proxy 127.0.0.1:1: .*refused: correct HTTP_PROXY, HTTPS_PROXY and NO_PROXY"},
		"HTTPS_PROXY that is dead":   {map[string]string{"HTTPS_PROXY": dead}, "https://s3.test", "", "proxy 127.0.0.1:1: .*refused: correct HTTP_PROXY, HTTPS_PROXY and NO_PROXY"},
	} {
		t.Run(name, func(t *testing.T) {
			cleanEnvironment(t, map[string]string{"HOME": t.TempDir(), "AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "SECRET"})
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			asked = nil
			client, err := NewClient(t.Context(), Options{Bucket: "bucket", Ambient: true, Endpoint: c.endpoint, PathStyle: true})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			err = client.Probe(t.Context())
			if c.advice == "" && err != nil {
				t.Errorf("failed: %v", err)
			}
			if c.advice != "" {
				wantError(t, err, Configuration, ReasonEndpointUnreachable)
				wantMatch(t, err, c.advice)
			}
			if got := strings.Join(asked, ", "); got != c.asked {
				t.Errorf("the proxy was asked for %q, want %q", got, c.asked)
			}
		})
	}
}

// wantMatch fails unless the error says what the pattern matches.
func wantMatch(t *testing.T, err error, pattern string) {
	t.Helper()
	if err == nil || !regexp.MustCompile(pattern).MatchString(err.Error()) {
		t.Errorf("error %q does not match %q", err, pattern)
	}
}
