package s3

import (
	"context"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const opList = "list objects"

// ListDirectories returns what follows a prefix up to the next slash, that included, in
// every key that has one; each with the prefix in front.
func (c *Client) ListDirectories(ctx context.Context, prefix string) ([]string, error) {
	var all []string
	for page, err := range c.pages(ctx, prefix, "/") {
		if err != nil {
			return nil, err
		}
		for _, common := range page.CommonPrefixes {
			key, err := c.listedKey(prefix, common.Prefix, page)
			if err != nil {
				return nil, err
			}
			all = append(all, key)
		}
	}
	return all, nil
}

// pages returns a whole listing, or ends with an error: whoever removes what is not listed
// as referred to must never take a part of one for all.
func (c *Client) pages(ctx context.Context, prefix, delimiter string) iter.Seq2[*s3.ListObjectsV2Output, error] {
	return func(yield func(*s3.ListObjectsV2Output, error) bool) {
		request := &s3.ListObjectsV2Input{Bucket: &c.options.Bucket, Prefix: &prefix, EncodingType: types.EncodingTypeUrl}
		if delimiter != "" {
			request.Delimiter = &delimiter
		}
		var got progress
		for seen := map[string]bool{}; ; {
			var page *s3.ListObjectsV2Output
			err := c.retry(ctx, opList, prefix, func(ctx context.Context) (err error) {
				page, err = c.s3.ListObjectsV2(ctx, request)
				return err
			})
			if !yield(page, err) || err != nil || !aws.ToBool(page.IsTruncated) {
				return
			}
			token := aws.ToString(page.NextContinuationToken)
			if token == "" || seen[token] || got.stuck(page) {
				yield(nil, misconfigured(opList, prefix, ReasonListingBroken, fmt.Errorf(
					"after %d pages the server says that there are more, and gives none, or no token, or one that it has given before", len(seen)+1)))
				return
			}
			seen[token] = true
			request.ContinuationToken = &token
		}
	}
}

// progress counts the pages of a listing that begin as the one before, or list nothing.
type progress struct {
	first string
	idle  int
}

// maxIdlePages is how many such pages there may be in a row: some servers skip what was removed
// page by page.
const maxIdlePages = 100

// stuck reports whether a listing no longer gets on.
func (p *progress) stuck(page *s3.ListObjectsV2Output) bool {
	first := p.first
	switch {
	case len(page.Contents) > 0:
		first = aws.ToString(page.Contents[0].Key)
	case len(page.CommonPrefixes) > 0:
		first = aws.ToString(page.CommonPrefixes[0].Prefix)
	}
	if first != p.first {
		p.first, p.idle = first, 0
	}
	p.idle++
	return p.idle > maxIdlePages
}

func (c *Client) listedKey(prefix string, listed *string, page *s3.ListObjectsV2Output) (string, error) {
	key, err := decodeKey(listed, page.EncodingType)
	if err != nil {
		return "", c.classify(opList, prefix, err)
	}
	return key, nil
}
