package s3

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// CreateUpload opens a multipart upload in one attempt.
func (c *Client) CreateUpload(ctx context.Context, o Object, algorithm string) (OpenUpload, error) {
	in := &s3.CreateMultipartUploadInput{
		Bucket:       &c.options.Bucket,
		Key:          &o.Key,
		Metadata:     o.Metadata,
		StorageClass: types.StorageClass(c.options.StorageClass),
		Tagging:      optional(c.tags),
	}
	if algorithm != ChecksumMD5 {
		in.ChecksumAlgorithm, in.ChecksumType = types.ChecksumAlgorithm(algorithm), checksumType(algorithm)
	}
	c.encrypt(&in.ServerSideEncryption, &in.SSEKMSKeyId)
	began := c.rejections.begin()
	out, err := c.s3.CreateMultipartUpload(ctx, in, withHeaders(c.options.Asked.ofObject(true)))
	if err != nil {
		return OpenUpload{}, err
	}
	c.rejections.accept(began)
	if aws.ToString(out.UploadId) == "" {
		return OpenUpload{}, &Error{Class: Configuration, Reason: ReasonAnswerUnreadable, Op: "create multipart upload", Key: o.Key,
			Err: errors.New("the answer names no upload"), advice: adviceNoS3}
	}
	return OpenUpload{Key: o.Key, UploadID: aws.ToString(out.UploadId)}, nil
}

// Part is one stored part of an upload.
type Part struct {
	Number int32
	// ETag as the server gave it, quotes and all.
	ETag string
	Sum  CRC
	// Length in bytes.
	Length int64
}

// Assembly is the object that an upload makes of its parts.
type Assembly struct {
	Upload OpenUpload
	Parts  []Part
	// Size of the object in bytes.
	Size int64
	// Algorithm of the checksums of the parts and of Sum, that of the object.
	Algorithm, Sum string
}

// Assemble returns what the parts make.
func Assemble(u OpenUpload, algorithm string, parts []Part) Assembly {
	a := Assembly{Upload: u, Parts: parts, Algorithm: algorithm, Sum: ObjectChecksum(algorithm, parts)}
	for _, p := range parts {
		a.Size += p.Length
	}
	return a
}

// object is the object that the upload is to make.
func (a Assembly) object() expected {
	etag := func(context.Context) (string, error) { return partsETag(a.Parts), nil }
	return expected{a.Upload.Key, a.Size, a.Algorithm, a.Sum, etag}
}

// input is the request that completes the upload.
func (a Assembly) input(bucket *string) *s3.CompleteMultipartUploadInput {
	parts := make([]types.CompletedPart, len(a.Parts))
	for i := range parts {
		p := &a.Parts[i]
		parts[i] = types.CompletedPart{ETag: &p.ETag, PartNumber: &p.Number}
		setChecksum(a.Algorithm, p.Sum.Encode(a.Algorithm), &parts[i].ChecksumCRC64NVME, &parts[i].ChecksumCRC32C)
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: &a.Upload.Key, UploadId: &a.Upload.UploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		MpuObjectSize:   &a.Size,
	}
	if a.Algorithm != ChecksumMD5 {
		in.ChecksumType = checksumType(a.Algorithm)
	}
	setChecksum(a.Algorithm, a.Sum, &in.ChecksumCRC64NVME, &in.ChecksumCRC32C)
	return in
}

const opComplete = "complete multipart upload"

// CompleteUpload makes an object of the parts in one attempt, over which the server may
// take minutes, and returns its ETag. Every error is an *Error.
func (c *Client) CompleteUpload(ctx context.Context, a Assembly) (etag string, err error) {
	in := a.input(&c.options.Bucket)
	etag, err = c.putIfAbsent(ctx, a.object(), func(onlyNew bool) (string, error) {
		if in.IfNoneMatch = nil; onlyNew {
			in.IfNoneMatch = aws.String(anyETag)
		}
		out, err := c.s3.CompleteMultipartUpload(ctx, in, func(o *s3.Options) { o.HTTPClient = c.patient })
		if verdictOf(err).reason == ReasonAnswerUnreadable {
			// It says no more than an empty one.
			out, err = &s3.CompleteMultipartUploadOutput{}, nil
		}
		if err != nil {
			return "", err
		}
		// Each part is confirmed already, so a server may keep silent about the whole.
		got := checksumOf(a.Algorithm, out.ChecksumCRC64NVME, out.ChecksumCRC32C)
		if got != "" && got != a.Sum {
			return "", mismatch(a.Upload.Key, a.Sum, got)
		}
		if got == "" {
			return c.settledETag(ctx, a.object(), unquote(out.ETag))
		}
		return unquote(out.ETag), nil
	})
	if err == nil {
		return etag, nil
	}
	e := c.classify(opComplete, a.Upload.Key, err)
	if isConflict(err) {
		// S3 has given the upload up: see CompleteMultipartUpload in its API reference.
		e.Class, e.Reason, e.advice = Transient, ReasonUploadConflict, "the file is sent again"
	}
	// Parts that do not add up will not at the next attempt either.
	e.final = e.Class == Integrity || e.Reason == ReasonUploadConflict
	return "", e
}

// Assembled returns the ETag of the object that the parts make, if it is stored.
func (c *Client) Assembled(ctx context.Context, a Assembly) (etag string, ok bool) {
	return c.findStored(ctx, a.object())
}

// ListedPart is a part of an open upload, as the server lists it.
type ListedPart struct {
	// Checksum in base64, "" if the server does not say.
	ETag, Checksum string
	Bytes          int64
}

// ListedParts are the parts of an open upload by number.
type ListedParts struct {
	// Algorithm is the upload's checksum, "" if the server does not say.
	Algorithm string
	Parts     map[int32]ListedPart
}

// Holds reports whether the part has the content of a body. Of one that is listed without
// a checksum, the ETag tells.
func (p ListedPart) Holds(ctx context.Context, algorithm string, b *Body) bool {
	switch {
	case p.Bytes != b.Length:
		return false
	case p.Checksum != "":
		return p.Checksum == b.sum.Encode(algorithm)
	}
	digest, err := b.MD5(ctx)
	return err == nil && strings.EqualFold(strings.Trim(p.ETag, `"`), hex.EncodeToString(digest))
}

// maxParts is the most parts that an upload has.
const maxParts = 10_000

// ListParts returns all parts of an upload.
func (c *Client) ListParts(ctx context.Context, u OpenUpload, algorithm string) (ListedParts, error) {
	all := ListedParts{Parts: map[int32]ListedPart{}}
	pages := s3.NewListPartsPaginator(c.s3, &s3.ListPartsInput{Bucket: &c.options.Bucket, Key: &u.Key, UploadId: &u.UploadID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return all, err
		}
		all.Algorithm = string(page.ChecksumAlgorithm)
		before := len(all.Parts)
		for _, p := range page.Parts {
			all.Parts[aws.ToInt32(p.PartNumber)] = ListedPart{
				ETag: aws.ToString(p.ETag), Bytes: aws.ToInt64(p.Size),
				Checksum: checksumOf(algorithm, p.ChecksumCRC64NVME, p.ChecksumCRC32C),
			}
		}
		if n := len(all.Parts); pages.HasMorePages() && n == before || n > maxParts {
			return all, &Error{Class: Source, Reason: ReasonListingBroken, Op: "list parts", Key: u.Key,
				Err: fmt.Errorf("the server says that there are more parts after %d, and lists none", n)}
		}
	}
	return all, nil
}

// IsOpen reports whether the server still knows the upload.
func (c *Client) IsOpen(ctx context.Context, u OpenUpload) (bool, error) {
	_, err := c.s3.ListParts(ctx, &s3.ListPartsInput{
		Bucket: &c.options.Bucket, Key: &u.Key, UploadId: &u.UploadID, MaxParts: aws.Int32(1),
	})
	if err == nil || verdictOf(err).reason == ReasonUploadVanished {
		return err == nil, nil
	}
	return false, err
}
