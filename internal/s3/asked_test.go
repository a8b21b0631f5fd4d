package s3

import (
	"testing"
	"time"
)

func TestWhatBucketsAskForIsChecked(t *testing.T) {
	for name, a := range map[string]Asked{
		"mode alone":  {ObjectLock: ObjectLock{Mode: "GOVERNANCE"}},
		"time alone":  {ObjectLock: ObjectLock{Until: time.Now()}},
		"odd mode":    {ObjectLock: ObjectLock{Mode: "FOREVER", Until: time.Now()}},
		"unknown ACL": {ACL: "everybody"},
	} {
		_, err := NewClient(t.Context(), Options{Bucket: testBucket, CredentialsDir: t.TempDir(), Asked: a})
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantError(t, err, Configuration, ReasonConfigurationRejected)
	}
}
