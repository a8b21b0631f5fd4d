package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// ChecksumAlgorithm is the checksum the server verifies, known after the first
// successful write; "" before.
func (c *Client) ChecksumAlgorithm() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.confirmed
}

// Put stores a bookkeeping object, with a checksum and with retries.
func (c *Client) Put(ctx context.Context, key string, body []byte) error {
	return c.withChecksum(func(algorithm string) error {
		sum := checksumBytes(algorithm, body)
		return c.retry(ctx, "put object", key, func() error {
			_, err := c.putObject(ctx, &s3.PutObjectInput{Key: &key, Body: bytes.NewReader(body)}, algorithm, sum)
			return err
		})
	})
}

// withChecksum runs write with the algorithm that the server is known to verify. As
// long as none is known and none was asked for, it falls back to CRC32C.
func (c *Client) withChecksum(write func(algorithm string) error) error {
	algorithm, negotiable := c.nextAlgorithm()
	err := write(algorithm)
	if err != nil && negotiable && refusesChecksum(err) {
		first := err
		algorithm = ChecksumCRC32C
		if err = write(algorithm); err != nil && refusesChecksum(err) {
			// It was not the checksum after all, or no checksum will do.
			return first
		}
	}
	if err == nil {
		c.confirm(algorithm)
	}
	return err
}

func (c *Client) nextAlgorithm() (algorithm string, negotiable bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.options.Checksum != "":
		return c.options.Checksum, false
	case c.confirmed != "":
		return c.confirmed, false
	default:
		return ChecksumCRC64NVME, true
	}
}

func (c *Client) confirm(algorithm string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.confirmed == "" {
		c.confirmed = algorithm
	}
}

// refusesChecksum reports whether err may come from a server that does not know the
// checksum: it does not say so in any agreed way.
func refusesChecksum(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Reason == ReasonChecksumUnsupported || e.Reason == ReasonConfigurationRefused)
}

// putObject stores in.Body, whose checksum is sum, and returns the ETag once the
// server has confirmed the checksum.
func (c *Client) putObject(ctx context.Context, in *s3.PutObjectInput, algorithm string, sum crc) (etag string, err error) {
	in.Bucket = &c.options.Bucket
	c.encrypt(&in.ServerSideEncryption, &in.SSEKMSKeyId)
	setChecksum(algorithm, sum.encode(algorithm), &in.ChecksumCRC64NVME, &in.ChecksumCRC32C)
	out, err := c.s3.PutObject(ctx, in, unsigned)
	if err != nil {
		return "", err
	}
	err = confirmed(*in.Key, algorithm, sum.encode(algorithm), out.ChecksumCRC64NVME, out.ChecksumCRC32C)
	return unquote(out.ETag), err
}

// uploadPart stores one part of an upload, and returns its ETag once the server has
// confirmed the checksum.
func (c *Client) uploadPart(ctx context.Context, u OpenUpload, number int32, body io.ReadSeeker, algorithm string, sum crc) (etag string, err error) {
	in := &s3.UploadPartInput{
		Bucket: &c.options.Bucket, Key: &u.Key, UploadId: &u.UploadID, PartNumber: &number, Body: body,
	}
	setChecksum(algorithm, sum.encode(algorithm), &in.ChecksumCRC64NVME, &in.ChecksumCRC32C)
	out, err := c.s3.UploadPart(ctx, in, unsigned)
	if err != nil {
		return "", err
	}
	err = confirmed(u.Key, algorithm, sum.encode(algorithm), out.ChecksumCRC64NVME, out.ChecksumCRC32C)
	return aws.ToString(out.ETag), err
}

func (c *Client) createUpload(ctx context.Context, f File, algorithm string) (OpenUpload, error) {
	in := &s3.CreateMultipartUploadInput{
		Bucket:            &c.options.Bucket,
		Key:               &f.Key,
		Metadata:          f.Metadata,
		StorageClass:      types.StorageClass(c.options.StorageClass),
		Tagging:           c.tagging(),
		ChecksumAlgorithm: types.ChecksumAlgorithm(algorithm),
		ChecksumType:      checksumType(algorithm),
	}
	c.encrypt(&in.ServerSideEncryption, &in.SSEKMSKeyId)
	out, err := c.s3.CreateMultipartUpload(ctx, in)
	if err != nil {
		return OpenUpload{}, err
	}
	return OpenUpload{Key: f.Key, UploadID: aws.ToString(out.UploadId)}, nil
}

// completeUpload makes an object of the parts, whose checksum is sum. The server may
// take minutes over it.
func (c *Client) completeUpload(ctx context.Context, u OpenUpload, size int64, parts []types.CompletedPart, algorithm, sum string) (etag string, err error) {
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &c.options.Bucket, Key: &u.Key, UploadId: &u.UploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		ChecksumType:    checksumType(algorithm),
		MpuObjectSize:   &size,
	}
	setChecksum(algorithm, sum, &in.ChecksumCRC64NVME, &in.ChecksumCRC32C)
	out, err := c.s3.CompleteMultipartUpload(ctx, in, func(o *s3.Options) { o.HTTPClient = c.patient })
	if err != nil {
		return "", err
	}
	// Each part is confirmed already, so a server may keep silent about the whole.
	got := checksumOf(algorithm, out.ChecksumCRC64NVME, out.ChecksumCRC32C)
	if got != "" && got != sum {
		return "", mismatch(u.Key, sum, got)
	}
	return unquote(out.ETag), nil
}

// isOpen reports whether the server still knows the upload.
func (c *Client) isOpen(ctx context.Context, u OpenUpload) (bool, error) {
	_, err := c.s3.ListParts(ctx, &s3.ListPartsInput{
		Bucket: &c.options.Bucket, Key: &u.Key, UploadId: &u.UploadID, MaxParts: aws.Int32(1),
	})
	if err == nil || verdictOf(err).reason == ReasonUploadVanished {
		return err == nil, nil
	}
	return false, err
}

// stands returns the ETag of the object if it is the one with this size and checksum.
func (c *Client) stands(ctx context.Context, key string, size int64, algorithm, sum string) (etag string, ok bool) {
	out, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &c.options.Bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil || aws.ToInt64(out.ContentLength) != size {
		return "", false
	}
	return unquote(out.ETag), checksumOf(algorithm, out.ChecksumCRC64NVME, out.ChecksumCRC32C) == sum
}

func (c *Client) encrypt(sse *types.ServerSideEncryption, key **string) {
	*sse = types.ServerSideEncryption(c.options.SSE)
	if c.options.KMSKeyID != "" {
		*key = &c.options.KMSKeyID
	}
}

// tagging returns the tags as S3 wants them in a header, nil for none.
func (c *Client) tagging() *string {
	if len(c.options.Tags) == 0 {
		return nil
	}
	tags := url.Values{}
	for name, value := range c.options.Tags {
		tags.Set(name, value)
	}
	// Not every server takes "+" for a space; all take "%20".
	return aws.String(strings.ReplaceAll(tags.Encode(), "+", "%20"))
}

func setChecksum(algorithm, sum string, crc64nvme, crc32c **string) {
	if algorithm == ChecksumCRC32C {
		*crc32c = &sum
	} else {
		*crc64nvme = &sum
	}
}

func checksumOf(algorithm string, crc64nvme, crc32c *string) string {
	if algorithm == ChecksumCRC32C {
		return aws.ToString(crc32c)
	}
	return aws.ToString(crc64nvme)
}

// confirmed compares the checksum that the server confirms with the one sent. A server
// that is silent about it has ignored it, and so has verified nothing.
func confirmed(key, algorithm, sent string, crc64nvme, crc32c *string) error {
	switch got := checksumOf(algorithm, crc64nvme, crc32c); got {
	case sent:
		return nil
	case "":
		return &Error{
			Class: Configuration, Reason: ReasonChecksumUnsupported, Op: "store", Key: key,
			Err:    errors.New("the server does not confirm the checksum " + algorithm),
			advice: "use a server that verifies CRC64NVME or CRC32C",
		}
	default:
		return mismatch(key, sent, got)
	}
}

func mismatch(key, sent, got string) *Error {
	return &Error{
		Class: Integrity, Reason: ReasonChecksumMismatch, Op: "store", Key: key,
		Err: errors.New("sent checksum " + sent + ", the server has " + got),
	}
}

// checksumType is how S3 makes an object's checksum of those of its parts.
func checksumType(algorithm string) types.ChecksumType {
	if algorithm == ChecksumCRC32C {
		return types.ChecksumTypeComposite
	}
	return types.ChecksumTypeFullObject
}

func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

// unsigned leaves the body out of the signature: its checksum, in a signed header, covers it.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}
