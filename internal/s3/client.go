package s3

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// maxGet is the largest bookkeeping object that is read back, in bytes.
const maxGet = 256 << 20

// Client talks to one bucket. It is safe for concurrent use.
type Client struct {
	options     Options
	s3          *s3.Client
	credentials *aws.CredentialsCache
	retrier     *Retrier
	transports  []*http.Transport
	clock       *serverClock
	// patient is the HTTP client for answers that take the server long.
	patient *http.Client
	// wire is nil where only the SDK knows how to sign.
	wire *wire
	// tags of the files' objects as S3 wants them in a header.
	tags string

	// conditional: the server has honored If-None-Match; unconditional: it has
	// ignored it.
	conditional, unconditional atomic.Bool
	rejections                 rejections
	again                      again

	mu sync.Mutex
	// confirmed is the checksum algorithm that the server has verified once.
	confirmed string
}

// OpenUpload is a multipart upload that was neither completed nor aborted.
type OpenUpload struct {
	Key       string
	UploadID  string
	Initiated time.Time
}

// NewClient returns a client; it sends nothing to the bucket yet. Every error is an *Error.
func NewClient(ctx context.Context, o Options) (*Client, error) {
	const op = "configure bucket"
	if err := o.validate(); err != nil {
		return nil, err
	}
	base, err := loadSettings(ctx, o)
	if err != nil {
		return nil, err
	}
	quick, slow := newTransport(base.roots, answerTimeout), newTransport(base.roots, completeTimeout)
	c := &Client{
		options:     o,
		credentials: aws.NewCredentialsCache(markedProvider{base.Credentials}),
		retrier:     cmp.Or(o.Retrier, NewRetrier()),
		transports:  []*http.Transport{quick, slow},
		clock:       new(serverClock),
		tags:        encodeTags(o.Tags),
	}
	sending := httpClient(o.around(tracedTransport{quick}), c.clock)
	c.patient = httpClient(tracedTransport{slow}, c.clock)
	c.s3 = s3.NewFromConfig(base.Config, func(s *s3.Options) {
		s.Credentials = c.credentials
		s.HTTPClient = sending
		base.apply(o, s)
		s.Retryer = aws.NopRetryer{}
		s.HTTPSignerV4 = &freshSigner{clock: c.clock}
		s.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		s.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		s.DisableLogOutputChecksumValidationSkipped = true
		s.APIOptions = append(s.APIOptions, readLeniently, carry(o.Asked.always()))
	})
	if endpoint := c.s3.Options().BaseEndpoint; endpoint != nil {
		if err := validateEndpoint(o.Bucket, *endpoint); err != nil {
			return nil, err
		}
	}
	if c.wire, err = newWire(ctx, c.s3.Options(), o, sending.Transport); err != nil {
		return nil, misconfigured(op, o.Bucket, ReasonConfigurationRejected, err)
	}
	return c, nil
}

// around puts what the options ask for around a transport.
func (o Options) around(t http.RoundTripper) http.RoundTripper {
	t = o.passing(t)
	if o.Around == nil {
		return t
	}
	return o.Around(t)
}

// httpClient follows no redirects: S3 redirects to other regions, where the signature
// does not hold.
func httpClient(transport http.RoundTripper, clock *serverClock) *http.Client {
	return &http.Client{
		Transport:     timedTransport{transport, stallTimeout, clock},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close ends idle connections. The client must not be used afterwards.
func (c *Client) Close() {
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// Probe checks once whether the bucket exists and these credentials may use it.
func (c *Client) Probe(ctx context.Context) error {
	const op = "look up bucket"
	_, err := c.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &c.options.Bucket})
	if err == nil {
		return nil
	}
	if status := Status(err); status == 0 || status >= 500 {
		return c.Judge(ctx, op, c.options.Bucket, err)
	}
	// The answer to HEAD has no body that would tell what is wrong.
	_, listErr := c.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &c.options.Bucket, MaxKeys: aws.Int32(1)})
	if listErr == nil {
		return nil
	}
	e := c.Judge(ctx, op, c.options.Bucket, listErr)
	switch e.Class {
	case Permission:
		// Write-only credentials may neither look the bucket up nor list it. If they may not
		// write either, the first write will say so.
		return nil
	case Source:
		// No file is involved yet, so whatever the server rejects concerns the bucket.
		e.Class, e.Reason = Configuration, ReasonConfigurationRejected
	}
	return e
}

// Get reads a bookkeeping object of at most 256 MiB, with retries, and verifies the
// checksum the server keeps. errors.Is(err, ErrNotFound) when there is none.
func (c *Client) Get(ctx context.Context, key string) ([]byte, error) {
	return c.GetAtMost(ctx, key, maxGet)
}

// GetAtMost is Get of an object of at most so many bytes. Of a larger one no more is read; the error
// is one of ReasonTooLarge.
func (c *Client) GetAtMost(ctx context.Context, key string, most int64) ([]byte, error) {
	body, _, err := c.getVersion(ctx, key, most)
	return body, err
}

// getVersion is GetAtMost with the object's ETag, quotes and all.
func (c *Client) getVersion(ctx context.Context, key string, most int64) (body []byte, etag string, err error) {
	const op = "get object"
	err = c.retry(ctx, op, key, func(ctx context.Context) error {
		body, etag, err = c.getObject(ctx, op, key, most)
		return err
	})
	return body, etag, err
}

func (c *Client) getObject(ctx context.Context, op, key string, most int64) (body []byte, etag string, err error) {
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &c.options.Bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled,
	})
	if missing := (*types.NoSuchKey)(nil); errors.As(err, &missing) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return nil, "", err
	}
	defer out.Body.Close() //nolint:errcheck // All that matters has been read by then.
	if aws.ToInt64(out.ContentLength) <= most {
		body, err = io.ReadAll(io.LimitReader(out.Body, most+1))
	}
	switch {
	case max(int64(len(body)), aws.ToInt64(out.ContentLength)) > most:
		return nil, "", &Error{Class: Source, Reason: ReasonTooLarge, Op: op, Key: key,
			Err: fmt.Errorf("more than %d bytes", most)}
	case err != nil && isChecksumError(err) && c.provesByETag(ctx, key, out.ETag, &body, most):
		// The server keeps a checksum that was sent once and that it never looked at.
		return body, aws.ToString(out.ETag), nil
	case err != nil && isChecksumError(err):
		return nil, "", &Error{Class: Integrity, Reason: ReasonChecksumMismatch, Op: op, Key: key, Err: err}
	case err != nil:
		return nil, "", err
	}
	return body, aws.ToString(out.ETag), nil
}

// provesByETag reads an object anew, without its checksum, and reports whether the ETag
// is the MD5 of what it has read.
func (c *Client) provesByETag(ctx context.Context, key string, etag *string, body *[]byte, most int64) bool {
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &c.options.Bucket, Key: &key, IfMatch: etag})
	if err != nil {
		return false
	}
	defer out.Body.Close() //nolint:errcheck // All that matters has been read by then.
	if *body, err = io.ReadAll(io.LimitReader(out.Body, most)); err != nil {
		return false
	}
	digest := md5.Sum(*body)
	return hex.EncodeToString(digest[:]) == unquote(etag)
}

// List returns the keys that begin with prefix, in the order of the server.
func (c *Client) List(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	for object, err := range c.Objects(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, object.Key)
	}
	return keys, nil
}

// OpenUploads returns the multipart uploads whose key begins with prefix; of one key at
// most a page, which is 1,000.
func (c *Client) OpenUploads(ctx context.Context, prefix string) ([]OpenUpload, error) {
	var all []OpenUpload
	seen := map[string]bool{}
	for after := ""; ; {
		page, next, err := c.uploadsPage(ctx, prefix, after)
		if err != nil {
			return nil, err
		}
		if next == "" {
			return append(all, page...), nil
		}
		if seen[next] {
			return nil, misconfigured("list multipart uploads", prefix, ReasonListingBroken, fmt.Errorf(
				"the server says that there are more uploads after %q, and gives the same again", after))
		}
		seen[next] = true
		// The uploads of the last key may go on beyond the page. Not every server can
		// resume within a key, so that key is asked for by itself.
		sameKey := func(u OpenUpload) bool { return u.Key == next }
		all = append(all, slices.DeleteFunc(page, sameKey)...)
		last, _, err := c.uploadsPage(ctx, next, "")
		if err != nil {
			return nil, err
		}
		all = append(all, slices.DeleteFunc(last, func(u OpenUpload) bool { return !sameKey(u) })...)
		after = next
	}
}

// uploadsPage returns the first uploads with the prefix whose key comes after a key, and
// the last key if there are more, else "".
func (c *Client) uploadsPage(ctx context.Context, prefix, after string) (uploads []OpenUpload, next string, err error) {
	const op = "list multipart uploads"
	in := &s3.ListMultipartUploadsInput{Bucket: &c.options.Bucket, Prefix: &prefix, EncodingType: types.EncodingTypeUrl}
	if after != "" {
		in.KeyMarker = &after
	}
	var page *s3.ListMultipartUploadsOutput
	err = c.retry(ctx, op, prefix, func(ctx context.Context) (err error) {
		page, err = c.s3.ListMultipartUploads(ctx, in)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	for _, u := range page.Uploads {
		key, err := decodeKey(u.Key, page.EncodingType)
		if err != nil {
			return nil, "", c.classify(op, prefix, err)
		}
		uploads = append(uploads, OpenUpload{
			Key: key, UploadID: aws.ToString(u.UploadId), Initiated: aws.ToTime(u.Initiated),
		})
	}
	if aws.ToBool(page.IsTruncated) && len(uploads) > 0 {
		next = uploads[len(uploads)-1].Key
	}
	return uploads, next, nil
}

// FindsUploads reports whether the server lists uploads by the beginning of their key, as
// S3 does; some find them by the whole key only. It opens one at a key that begins so, and
// aborts it.
func (c *Client) FindsUploads(ctx context.Context, prefix, key string) (bool, error) {
	var own OpenUpload
	err := c.retry(ctx, "create multipart upload", key, func(ctx context.Context) (err error) {
		own, err = c.CreateUpload(ctx, Object{Key: key}, ChecksumMD5)
		return err
	})
	if err != nil {
		return false, err
	}
	uploads, err := c.OpenUploads(ctx, prefix)
	found := slices.ContainsFunc(uploads, func(u OpenUpload) bool { return u.UploadID == own.UploadID })
	return found, errors.Join(err, c.AbortUpload(ctx, own))
}

// AbortUpload aborts a multipart upload; one that is gone already is no error.
func (c *Client) AbortUpload(ctx context.Context, u OpenUpload) error {
	return c.retry(ctx, "abort multipart upload", u.Key, func(ctx context.Context) error { return c.AbortOnce(ctx, u) })
}

// AbortOnce is one attempt of AbortUpload.
func (c *Client) AbortOnce(ctx context.Context, u OpenUpload) error {
	_, err := c.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &c.options.Bucket, Key: &u.Key, UploadId: &u.UploadID,
	})
	if verdictOf(err).reason == ReasonUploadVanished {
		return nil
	}
	return err
}

// retry repeats attempt within the client's own budget.
func (c *Client) retry(ctx context.Context, op, key string, attempt func(context.Context) error) error {
	return c.retrier.Do(ctx, func(ctx context.Context) *Error {
		if err := attempt(ctx); err != nil {
			return c.Judge(ctx, op, key, err)
		}
		return nil
	})
}

// Judge classifies the error of one attempt, and remembers what it reveals about the server
// and the credentials.
func (c *Client) Judge(ctx context.Context, op, key string, err error) *Error {
	return c.classify(op, key, canceled(ctx, err))
}

// Now is the time by the server's clock, as far as that is known.
func (c *Client) Now() time.Time { return c.clock.now() }

// canceled marks the error of a request whose context has ended, for the HTTP client
// returns whatever cause the context was given.
func canceled(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

// classify classifies err; rejected credentials are not used again. A request
// that was rejected for the time in it is signed by the server's clock next time.
func (c *Client) classify(op, key string, err error) *Error {
	e := Classify(op, key, err)
	c.rejections.judge(e)
	c.advise(e)
	if e.Reason == ReasonClockSkewed && c.clock.corrected() {
		e.Class = Transient
	}
	if e.Class == Credentials {
		c.credentials.Invalidate()
	}
	return e
}

// decodeKey undoes the encoding that lets XML carry keys of any characters.
func decodeKey(key *string, encoding types.EncodingType) (string, error) {
	if encoding != types.EncodingTypeUrl {
		return aws.ToString(key), nil
	}
	return url.QueryUnescape(aws.ToString(key))
}

// isChecksumError recognizes the SDK's error by its words, since it exports no type.
func isChecksumError(err error) bool {
	return strings.Contains(err.Error(), "checksum did not match")
}

func misconfigured(op, key, reason string, err error) *Error {
	return &Error{Class: Configuration, Reason: reason, Op: op, Key: key, Err: err}
}
