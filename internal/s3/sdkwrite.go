package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// sdkPutObject does what wire does where only the SDK knows how to sign.
func (c *Client) sdkPutObject(ctx context.Context, key string, a attributes, algorithm, sum string, b *Body) (stored, error) {
	content := b.open()
	defer content.Close() //nolint:errcheck // It only frees memory.
	in := &s3.PutObjectInput{
		Bucket: &c.options.Bucket, Key: &key, Body: content, ContentLength: &b.Length,
		Metadata: a.metadata, StorageClass: types.StorageClass(a.storageClass), Tagging: optional(a.tags),
	}
	if a.onlyNew {
		in.IfNoneMatch = aws.String(anyETag)
	}
	in.IfMatch = optional(a.onlyOver)
	c.encrypt(&in.ServerSideEncryption, &in.SSEKMSKeyId)
	setChecksum(algorithm, sum, &in.ChecksumCRC64NVME, &in.ChecksumCRC32C)
	out, err := c.s3.PutObject(ctx, in, unsigned, withHeaders(c.options.Asked.ofObject(a.file)))
	if err != nil {
		return stored{}, err
	}
	return stored{aws.ToString(out.ETag), checksumOf(algorithm, out.ChecksumCRC64NVME, out.ChecksumCRC32C)}, nil
}

// sdkUploadPart does what wire does where only the SDK knows how to sign.
func (c *Client) sdkUploadPart(ctx context.Context, u OpenUpload, number int32, algorithm, sum string, b *Body) (stored, error) {
	content := b.open()
	defer content.Close() //nolint:errcheck // It only frees memory.
	in := &s3.UploadPartInput{
		Bucket: &c.options.Bucket, Key: &u.Key, UploadId: &u.UploadID, PartNumber: &number,
		Body: content, ContentLength: &b.Length,
	}
	setChecksum(algorithm, sum, &in.ChecksumCRC64NVME, &in.ChecksumCRC32C)
	out, err := c.s3.UploadPart(ctx, in, unsigned)
	if err != nil {
		return stored{}, err
	}
	return stored{aws.ToString(out.ETag), checksumOf(algorithm, out.ChecksumCRC64NVME, out.ChecksumCRC32C)}, nil
}

// unsigned leaves the body out of the signature, as wire does: endpoints that take other
// signatures are those of Amazon S3, by TLS.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}
