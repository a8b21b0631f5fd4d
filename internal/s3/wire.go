package s3

import (
	"context"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth"
	"github.com/aws/smithy-go/encoding/httpbinding"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// wire sends the requests that carry data, PutObject and UploadPart, straight through
// the HTTP transport: over a small file the SDK's middleware takes several times as long
// as all the rest. Endpoint, credentials and signature are still the SDK's.
type wire struct {
	bucket          url.URL
	service, region string
	credentials     aws.CredentialsProvider
	signer          s3.HTTPSignerV4
	transport       http.RoundTripper
	// signsBody has the signature cover the body.
	signsBody bool
}

const (
	// expectAbove is the size in bytes above which a body waits for "100 Continue", so
	// that a throttled request does not cost the bandwidth of its body. Below,
	// the round trip costs more. It is the SDK's own bound.
	expectAbove = 2 << 20
	// maxAnswer is how much of an answer to a request with data is read, in bytes.
	maxAnswer = 64 << 10
	// unsignedPayload leaves the body out of the signature: TLS protects it. Without TLS a
	// checksum would not: whoever can change a body can make it fit any CRC. Hence
	// Options.UnsignedPayload.
	unsignedPayload = "UNSIGNED-PAYLOAD"
	// signatureV4 is the scheme of all endpoints but those that have sessions or many
	// regions, as the endpoint's rules name it.
	signatureV4 = "sigv4"
)

// newWire returns nil for an endpoint that takes other signatures than version 4, such
// as those of directory buckets and multi-region access points.
func newWire(ctx context.Context, o s3.Options, ours Options, transport http.RoundTripper) (*wire, error) {
	endpoint, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, s3.EndpointParameters{
		Bucket: &ours.Bucket, Region: &o.Region, Endpoint: o.BaseEndpoint, ForcePathStyle: &o.UsePathStyle,
		UseFIPS:                        aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack:                   aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
		Accelerate:                     &o.UseAccelerate,
		UseArnRegion:                   &o.UseARNRegion,
		DisableMultiRegionAccessPoints: &o.DisableMultiRegionAccessPoints,
		DisableS3ExpressSessionAuth:    o.DisableS3ExpressSessionAuth,
	}.WithDefaults())
	if err != nil {
		return nil, err
	}
	w := &wire{
		bucket: endpoint.URI, credentials: o.Credentials, signer: o.HTTPSignerV4, transport: transport,
		signsBody: endpoint.URI.Scheme != "https" && !ours.UnsignedPayload,
	}
	schemes, _ := auth.GetAuthOptions(&endpoint.Properties)
	for _, scheme := range schemes {
		if scheme.SchemeID == signatureV4 {
			w.service, _ = smithyhttp.GetSigV4SigningName(&scheme.SignerProperties)
			w.region, _ = smithyhttp.GetSigV4SigningRegion(&scheme.SignerProperties)
			return w, nil
		}
	}
	return nil, nil
}

// put sends a body to a key, with the query of an upload's part or none, and returns the
// headers of the answer. header gets what the signature needs.
func (w *wire) put(ctx context.Context, key, query string, header http.Header, b *Body) (http.Header, error) {
	credentials, err := w.credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	payload := unsignedPayload
	if w.signsBody {
		digest, err := b.sha256Sum(ctx)
		if err != nil {
			return nil, err
		}
		payload = hex.EncodeToString(digest)
	}
	header["X-Amz-Content-Sha256"] = []string{payload}
	r := w.request(ctx, key, query, header, b)
	if err := w.signer.SignHTTP(ctx, credentials, r, payload, w.service, w.region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	r.Body = http.NoBody
	if b.Length > 0 {
		r.Body = b.open()
	}
	answer, err := w.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // All that matters has been read by then.
	if answer.StatusCode != http.StatusOK {
		return nil, answerError(answer)
	}
	// A connection is used again only if its answer was read.
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	return answer.Header, err
}

func (w *wire) request(ctx context.Context, key, query string, header http.Header, b *Body) *http.Request {
	u := w.bucket
	u.Path += "/" + key
	u.RawPath = httpbinding.EscapePath(u.Path, false)
	u.RawQuery = query
	header["Content-Type"] = []string{"application/octet-stream"}
	if b.Length > expectAbove {
		header["Expect"] = []string{"100-continue"}
	}
	r := &http.Request{
		Method: http.MethodPut, URL: &u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: b.Length,
	}
	return r.WithContext(ctx)
}

// answerError is the error that an answer tells of, in the types of the SDK.
func answerError(answer *http.Response) error {
	var told struct{ Code, Message string }
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err == nil {
		err = xml.Unmarshal(text, &told)
	}
	var cause error = &smithy.GenericAPIError{Code: told.Code, Message: told.Message}
	if err != nil || told.Code == "" {
		cause = errors.New("the server answers " + strconv.Quote(answer.Status))
	}
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: answer}, Err: cause}
}
