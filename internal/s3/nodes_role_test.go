package s3

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// TestNodesRoleIsNotUsedWhereItIsDenied has an instance metadata service that gives a
// role to whoever asks, and no other credentials.
func TestNodesRoleIsNotUsedWhereItIsDenied(t *testing.T) {
	for disabled, wantKey := range map[string]string{"true": "", "false": "THE-NODES-KEY"} {
		t.Run("disabled "+disabled, func(t *testing.T) {
			var asked atomic.Int64
			node := httptest.NewServer(metadataService(&asked))
			defer node.Close()
			for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
				"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
				t.Setenv(name, "")
			}
			nowhere := t.TempDir() + "/none"
			t.Setenv("AWS_CONFIG_FILE", nowhere)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", node.URL)
			t.Setenv("AWS_EC2_METADATA_DISABLED", disabled)
			c, err := NewClient(t.Context(), Options{Bucket: "archive", Region: "us-east-1"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			got, err := c.credentials.Retrieve(t.Context())
			if got.AccessKeyID != wantKey || (err == nil) != (wantKey != "") {
				t.Errorf("the credentials are %q, %v; want %q", got.AccessKeyID, err, wantKey)
			}
			if n := asked.Load(); (n > 0) != (wantKey != "") {
				t.Errorf("the node was asked %d times", n)
			}
		})
	}
}

func metadataService(asked *atomic.Int64) http.Handler {
	answers := map[string]string{
		"/latest/api/token":                           "token",
		"/latest/meta-data/iam/security-credentials/": "role",
		"/latest/meta-data/iam/security-credentials/role": `{"Code":"Success","AccessKeyId":"THE-NODES-KEY",` +
			`"SecretAccessKey":"s","Token":"t","Expiration":"2100-01-01T00:00:00Z"}`,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
		body, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(body))
	})
}
