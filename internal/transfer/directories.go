package transfer

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// ListDirectories returns what follows a prefix up to the next slash, that included, in
// every key that has one; each with the prefix in front.
func (c *Client) ListDirectories(ctx context.Context, prefix string) ([]string, error) {
	const op = "list objects"
	var all []string
	request := &s3.ListObjectsV2Input{
		Bucket: &c.options.Bucket, Prefix: &prefix, Delimiter: aws.String("/"), EncodingType: types.EncodingTypeUrl,
	}
	for {
		var page *s3.ListObjectsV2Output
		err := c.retry(ctx, op, prefix, func() (err error) {
			page, err = c.s3.ListObjectsV2(ctx, request)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, common := range page.CommonPrefixes {
			key, err := decodeKey(common.Prefix, page.EncodingType)
			if err != nil {
				return nil, c.classify(op, prefix, err)
			}
			all = append(all, key)
		}
		if !aws.ToBool(page.IsTruncated) || page.NextContinuationToken == nil {
			return all, nil
		}
		request.ContinuationToken = page.NextContinuationToken
	}
}
