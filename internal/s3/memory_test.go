package s3

import (
	"testing"

	"cargoship.dev/operator/internal/s3/s3test"
)

// Keys and certificates in memory count as those in files do, and nothing else is asked for some.
func TestSettingsInMemory(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, testBucket)
	t.Setenv("AWS_ACCESS_KEY_ID", "of the environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
	keys := map[string][]byte{"AWS_ACCESS_KEY_ID": []byte(server.AccessKey + "\n"), "AWS_SECRET_ACCESS_KEY": []byte(server.SecretKey)}
	o := Options{Bucket: testBucket, Region: server.Region, Endpoint: server.Endpoint, PathStyle: true, Secret: keys}
	if err := newClient(t, o).Probe(t.Context()); err != nil {
		t.Error(err)
	}
	o.Secret = map[string][]byte{"AWS_ACCESS_KEY_ID": []byte("id"), "AWS_SECRET_ACCESS_KEY": []byte(" ")}
	wantError(t, newClient(t, o).Probe(t.Context()), Credentials, ReasonCredentialsMissing)
	o.CA = []byte("no certificate")
	_, err := NewClient(t.Context(), o)
	wantError(t, err, Configuration, ReasonCABundleInvalid)
}
