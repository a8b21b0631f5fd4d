package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cargoship.dev/operator/internal/endpoint"
)

// What a Client can take for proof that the server has what was sent: a checksum that the
// server verifies and confirms, by its S3 name, or the MD5 of each body, which the server
// verifies as Content-MD5 and confirms as the ETag.
const (
	ChecksumCRC64NVME = "CRC64NVME"
	ChecksumCRC32C    = "CRC32C"
	ChecksumMD5       = "MD5"
)

// Options says where a Client sends and how.
type Options struct {
	// Bucket is required.
	Bucket string
	// Region signs the requests. Empty: us-east-1.
	Region string
	// Endpoint is an http or https URL. Empty: Amazon S3 in Region.
	Endpoint string
	// PathStyle puts the bucket into the path rather than the host name. StyleGiven says
	// that false was chosen, too.
	PathStyle, StyleGiven bool
	// Ambient has the environment and the profile of the AWS tools say what is empty here:
	// region, endpoint, style, trusted certificates. Without a CredentialsDir they always do.
	Ambient bool
	// CredentialsDir holds the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and,
	// optionally, AWS_SESSION_TOKEN; they are read again while the client lives.
	// Empty: the SDK's default chain (environment, profile, pod identity).
	CredentialsDir string
	// Secret is what the files of a CredentialsDir hold, by their names, in place of one.
	Secret map[string][]byte
	// CAFile is a PEM bundle trusted instead of the system's. Empty: the system's.
	CAFile string
	// CA is what a CAFile holds, in place of one.
	CA []byte
	// StorageClass of the objects. Empty: the bucket's default.
	StorageClass string
	// SSE is the server-side encryption, AES256 or aws:kms. Empty: the bucket's default.
	SSE string
	// KMSKeyID is the key for aws:kms. Empty: the account's default key.
	KMSKeyID string
	// Asked is what the bucket asks for with requests. Zero: nothing.
	Asked Asked
	// Tags are set on the files' objects, never on bookkeeping objects.
	Tags map[string]string
	// NoOverwrite replaces no existing object: its file fails with ReasonObjectExists.
	// A server that knows no If-None-Match is asked first, so there another writer may
	// come in between. Bookkeeping objects are replaced.
	NoOverwrite bool
	// Checksum is what must be proof. Empty: the first of ChecksumCRC64NVME, ChecksumCRC32C
	// and ChecksumMD5 that the server confirms.
	Checksum string
	// UnsignedPayload leaves content out of signatures over plain HTTP, too, as it always is over TLS:
	// whoever can change it on the way can then make it fit its checksum.
	UnsignedPayload bool
	// Around is put around what sends every request, its retries included; nil for nothing.
	Around func(http.RoundTripper) http.RoundTripper
	// Pass waits until some of the next bytes of a body that is sent may pass, and returns how
	// many: 1 at least, or 0 once the context has ended. Nil lets all of them pass.
	Pass func(ctx context.Context, most int) int
	// Retrier repeats the requests that the Client itself repeats. Nil: one of its own.
	Retrier *Retrier
}

const defaultRegion = "us-east-1"

// validate finds what no server needs to be asked about.
func (o Options) validate() error {
	const op = "configure bucket"
	if o.Bucket == "" {
		return misconfigured(op, o.Bucket, ReasonConfigurationRejected, errors.New("name a bucket"))
	}
	if o.Checksum != "" && !slices.Contains(proofs(), o.Checksum) {
		return misconfigured(op, o.Bucket, ReasonConfigurationRejected,
			fmt.Errorf("checksum %q is none of %s", o.Checksum, strings.Join(proofs(), ", ")))
	}
	if err := o.Asked.validate(); err != nil {
		return misconfigured(op, o.Bucket, ReasonConfigurationRejected, err)
	}
	return nil
}

// validateEndpoint rejects what is no address of a server.
func validateEndpoint(bucket, text string) error {
	if err := endpoint.Check(text); err != nil {
		return misconfigured("configure bucket", bucket, ReasonEndpointInvalid, fmt.Errorf("endpoint: %w", err))
	}
	return nil
}
