package s3

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestSignerUsesASecretThatWasCorrectedUnderTheSameID(t *testing.T) {
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	sign := func(f *freshSigner, secret string) string {
		r, err := http.NewRequest(http.MethodGet, "http://s3.test/bucket/key", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := aws.Credentials{AccessKeyID: "same", SecretAccessKey: secret}
		if err := f.SignHTTP(t.Context(), c, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", at); err != nil {
			t.Fatal(err)
		}
		return r.Header.Get("Authorization")
	}
	reused := &freshSigner{clock: new(serverClock)}
	if sign(reused, "wrong") == sign(&freshSigner{clock: new(serverClock)}, "right") {
		t.Fatal("signatures do not depend on the secret")
	}
	if got, want := sign(reused, "right"), sign(&freshSigner{clock: new(serverClock)}, "right"); got != want {
		t.Errorf("after a correction the signature is %q, want %q", got, want)
	}
}
