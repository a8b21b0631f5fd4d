package s3

import (
	"context"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
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
	return func(yield func(Stored, error) bool) {
		for page, err := range c.pages(ctx, prefix, "") {
			if err != nil {
				yield(Stored{}, err)
				return
			}
			for _, object := range page.Contents {
				key, err := c.listedKey(prefix, object.Key, page)
				if !yield(Stored{key, aws.ToInt64(object.Size), aws.ToTime(object.LastModified)}, err) || err != nil {
					return
				}
			}
		}
	}
}

// Delete removes an object; one that is gone already is no error.
func (c *Client) Delete(ctx context.Context, key string) error {
	return c.retry(ctx, "delete object", key, func(ctx context.Context) error {
		_, err := c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &c.options.Bucket, Key: &key})
		return err
	})
}
