package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// again is what a Client knows of the destination that decides whether an object or a part may
// be stored twice. Its zero value knows nothing.
type again struct {
	// etags: one was compared with the MD5 of what was sent; digests: it was the same. Then
	// both stores of the same content have the same ETag, whichever comes last.
	etags, digests atomic.Bool

	// asking is held while the bucket is asked, which failed at that time.
	asking sync.Mutex
	failed time.Time
	// asked: the bucket has told, or will not; unversioned: a second store leaves no version.
	asked, unversioned atomic.Bool
}

// LearnETag compares the first ETag that it is told with what was stored.
func (c *Client) LearnETag(ctx context.Context, b *Body, etag string) {
	if c.again.etags.Load() || !c.again.etags.CompareAndSwap(false, true) {
		return
	}
	c.again.digests.Store(b.HasETag(ctx, etag))
}

// HasETag reports whether an ETag, quotes or none, is the MD5 of the body.
func (b *Body) HasETag(ctx context.Context, etag string) bool {
	want, err := b.etag(ctx)
	return err == nil && strings.EqualFold(strings.Trim(etag, `"`), want)
}

// MayStoreAgain reports whether a request that stores a body may be sent a second time while
// the first is under way, so that what is stored in the end is the same as after one, whichever
// ends last: the same ETag, no second version, and no charge for an object that was replaced
// early. A part is replaced within its upload; for an object the bucket is asked, once. What
// is not known counts as no.
func (c *Client) MayStoreAgain(ctx context.Context, part bool) bool {
	switch {
	case !c.again.digests.Load():
		return false
	case part:
		return true
	case c.options.NoOverwrite, c.options.Asked.ObjectLock != ObjectLock{}, !replacedFree(c.options.StorageClass):
		return false
	case !c.again.asked.Load():
		c.askVersioning(ctx)
	}
	return c.again.unversioned.Load()
}

// replacedFree reports whether S3 charges no least time for an object of a storage class. See
// "Amazon S3 storage classes" in its user guide.
func replacedFree(class string) bool {
	return slices.Contains([]string{"", "STANDARD", "REDUCED_REDUNDANCY", "INTELLIGENT_TIERING"}, class)
}

// askAgain is how long the bucket is not asked again after an error that may pass.
const askAgain = 10 * time.Second

// askVersioning asks the bucket unless somebody is asking already. An error that may pass
// leaves it to the next.
func (c *Client) askVersioning(ctx context.Context) {
	if !c.again.asking.TryLock() {
		return
	}
	defer c.again.asking.Unlock()
	if c.again.asked.Load() || time.Since(c.again.failed) < askAgain {
		return
	}
	const op = "get bucket versioning"
	unversioned, err := c.unversioned(ctx)
	if err != nil && c.Judge(ctx, op, c.options.Bucket, err).Class.Retryable() {
		c.again.failed = time.Now()
		return
	}
	c.again.unversioned.Store(err == nil && unversioned)
	c.again.asked.Store(true)
}

// unversioned reports whether the bucket says that it keeps no versions of what is stored from
// now on: it never did, or has ceased to. Some servers answer with something else, such as a
// listing; that says nothing.
func (c *Client) unversioned(ctx context.Context) (bool, error) {
	var text bytes.Buffer
	out, err := c.s3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &c.options.Bucket}, func(o *s3.Options) {
		o.APIOptions = append(slices.Clone(o.APIOptions), copyAnswer(&text))
	})
	if err != nil {
		return false, err
	}
	var told struct{ XMLName xml.Name }
	if err := xml.Unmarshal(text.Bytes(), &told); err != nil || told.XMLName.Local != "VersioningConfiguration" {
		return false, errors.New("the answer is no VersioningConfiguration")
	}
	return out.Status == "" || out.Status == types.BucketVersioningStatusSuspended, nil
}

// copyAnswer copies what is read of the body of an answer.
func copyAnswer(to io.Writer) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("CopyAnswer", func(
			ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
		) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if answer, ok := out.RawResponse.(*smithyhttp.Response); ok && err == nil && answer.Body != nil {
				answer.Body = struct {
					io.Reader
					io.Closer
				}{io.TeeReader(answer.Body, to), answer.Body}
			}
			return out, metadata, err
		}), middleware.After)
	}
}
