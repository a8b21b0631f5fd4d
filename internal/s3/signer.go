package s3

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// freshSigner signs as the SDK's signer does, which keeps the keys it derives by
// access key ID alone: when a secret is corrected under the same ID, it would go on
// with keys derived from the wrong one until the day ends. This one begins anew. It
// signs by the server's clock.
type freshSigner struct {
	clock *serverClock

	mu     sync.Mutex
	secret string
	signer *v4.Signer
}

// SignHTTP implements s3.HTTPSignerV4.
func (f *freshSigner) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, payloadHash, service, region string,
	_ time.Time, options ...func(*v4.SignerOptions),
) error {
	return f.of(c.SecretAccessKey).SignHTTP(ctx, c, r, payloadHash, service, region, f.clock.now(), options...)
}

// of returns the signer for a secret.
func (f *freshSigner) of(secret string) *v4.Signer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.signer == nil || f.secret != secret {
		// S3 wants paths as they are sent, not escaped once more.
		f.signer = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		f.secret = secret
	}
	return f.signer
}
