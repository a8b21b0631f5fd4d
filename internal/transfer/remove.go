package transfer

import (
	"context"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Stored is an object as a listing tells of it.
type Stored struct {
	Key string
	// Size in bytes.
	Size int64
	// Modified is when it was stored, by the server's clock.
	Modified time.Time
}

// Objects returns the objects whose keys begin with prefix, in the order of the server. It
// ends with the first error.
func (c *Client) Objects(ctx context.Context, prefix string) iter.Seq2[Stored, error] {
	const op = "list objects"
	return func(yield func(Stored, error) bool) {
		request := &s3.ListObjectsV2Input{Bucket: &c.options.Bucket, Prefix: &prefix, EncodingType: types.EncodingTypeUrl}
		for {
			var page *s3.ListObjectsV2Output
			err := c.retry(ctx, op, prefix, func() (err error) {
				page, err = c.s3.ListObjectsV2(ctx, request)
				return err
			})
			if err != nil {
				yield(Stored{}, err)
				return
			}
			for _, object := range page.Contents {
				key, err := decodeKey(object.Key, page.EncodingType)
				if err != nil {
					err = c.classify(op, prefix, err)
				}
				if !yield(Stored{key, aws.ToInt64(object.Size), aws.ToTime(object.LastModified)}, err) || err != nil {
					return
				}
			}
			next := aws.ToString(page.NextContinuationToken)
			if !aws.ToBool(page.IsTruncated) || next == "" || next == aws.ToString(request.ContinuationToken) {
				return
			}
			request.ContinuationToken = &next
		}
	}
}

// Delete removes an object; one that is gone already is no error.
func (c *Client) Delete(ctx context.Context, key string) error {
	return c.retry(ctx, "delete object", key, func() error {
		_, err := c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &c.options.Bucket, Key: &key})
		return err
	})
}
