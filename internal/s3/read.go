package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/crc64nvme"
)

// ObjectInfo is what the server keeps of an object.
type ObjectInfo struct {
	// Size in bytes.
	Size int64
	// ETag without quotes.
	ETag string
	// Checksums by algorithm, base64, those that the server keeps; one of parts has
	// "-" and their number behind it.
	Checksums map[string]string
	// Metadata is what was stored with the object.
	Metadata map[string]string
	// Storage is how the object is kept.
	Storage Storage
}

const opLookUp = "look up object"

// Stat asks for what the server keeps of an object, with retries.
// errors.Is(err, ErrNotFound) when there is none.
func (c *Client) Stat(ctx context.Context, key string) (ObjectInfo, error) {
	var info ObjectInfo
	err := c.retry(ctx, opLookUp, key, func(ctx context.Context) (err error) {
		info, err = c.StatOnce(ctx, key)
		return err
	})
	return info, err
}

// StatOnce is one attempt of Stat.
func (c *Client) StatOnce(ctx context.Context, key string) (ObjectInfo, error) {
	out, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &c.options.Bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return ObjectInfo{}, notFound(err)
	}
	info := ObjectInfo{
		Size: aws.ToInt64(out.ContentLength), ETag: unquote(out.ETag), Metadata: out.Metadata,
		Checksums: map[string]string{}, Storage: storageOf(out),
	}
	for algorithm, sum := range map[string]*string{
		ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumCRC32C: out.ChecksumCRC32C,
	} {
		if sum != nil {
			info.Checksums[algorithm] = *sum
		}
	}
	return info, nil
}

// notFound marks the answer to a request for an object that does not exist.
func notFound(err error) error {
	var noKey *types.NoSuchKey
	var none *types.NotFound
	if errors.As(err, &noKey) || errors.As(err, &none) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// OpenRange begins to read an object: length bytes from offset on, as long as the
// object still has the ETag given. The request is retried; what breaks off later
// is an error of the reader, which must be closed.
func (c *Client) OpenRange(ctx context.Context, key, etag string, offset, length int64) (io.ReadCloser, error) {
	const op = "get object"
	if length == 0 {
		return io.NopCloser(eof{}), nil
	}
	in := &s3.GetObjectInput{
		Bucket: &c.options.Bucket, Key: &key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)),
	}
	if etag != "" {
		in.IfMatch = aws.String(`"` + etag + `"`)
	}
	var body io.ReadCloser
	err := c.retry(ctx, op, key, func(ctx context.Context) error {
		out, err := c.s3.GetObject(ctx, in)
		if status := Status(err); status == http.StatusPreconditionFailed || status == http.StatusRequestedRangeNotSatisfiable {
			return &Error{Class: Source, Reason: ReasonObjectReplaced, Op: op, Key: key, Err: errReplaced}
		}
		if err != nil {
			return notFound(err)
		}
		if got := aws.ToInt64(out.ContentLength); got != length {
			_ = out.Body.Close()
			return &Error{Class: Integrity, Reason: ReasonChecksumMismatch, Op: op, Key: key,
				Err: fmt.Errorf("%d bytes from offset %d were requested, the server sends %d", length, offset, got), final: true}
		}
		if err := sameRange(out, etag, offset, length); err != nil {
			_ = out.Body.Close()
			err.Op, err.Key = op, key
			return err
		}
		body = out.Body
		return nil
	})
	return body, err
}

// sameRange returns an error unless an answer of the right length is of the range, and of the object,
// that were asked for: not every server looks at Range and If-Match.
func sameRange(out *s3.GetObjectOutput, etag string, offset, length int64) *Error {
	if got := strings.TrimPrefix(unquote(out.ETag), `W/"`); etag != "" && got != "" && got != etag {
		return &Error{Class: Source, Reason: ReasonObjectReplaced, Err: errReplaced}
	}
	if out.ContentRange == nil && offset == 0 {
		return nil // It is the whole object.
	}
	want := fmt.Sprintf("bytes %d-%d", offset, offset+length-1)
	if got := aws.ToString(out.ContentRange); got != want && !strings.HasPrefix(got, want+"/") {
		return &Error{Class: Integrity, Reason: ReasonChecksumMismatch, Err: fmt.Errorf("%q was requested, the server sends %q", want, got), final: true}
	}
	return nil
}

// errReplaced is what the server says by a condition or a range that it can't meet.
var errReplaced = errors.New("it was replaced since it was archived")

// eof is a reader that has nothing.
type eof struct{}

// Read implements io.Reader.
func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// Checksum computes a checksum over what is read back; nil for an algorithm that
// is not known.
func Checksum(algorithm string) hash.Hash {
	switch algorithm {
	case ChecksumCRC64NVME:
		return crc64nvme.New()
	case ChecksumCRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	default:
		return nil
	}
}

// EncodeChecksum writes a checksum as S3 does.
func EncodeChecksum(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }

// storedObject is what the server says of an object; all zero if there is none.
type storedObject struct {
	etag, checksum string
	bytes          int64
	metadata       map[string]string
}

func (c *Client) head(ctx context.Context, key, algorithm string) (storedObject, error) {
	out, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &c.options.Bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled,
	})
	if Status(err) == http.StatusNotFound {
		return storedObject{}, nil
	}
	if err != nil {
		return storedObject{}, err
	}
	metadata := make(map[string]string, len(out.Metadata))
	for name, value := range out.Metadata {
		metadata[strings.ToLower(name)] = value
	}
	return storedObject{
		etag: unquote(out.ETag), bytes: aws.ToInt64(out.ContentLength), metadata: metadata,
		checksum: checksumOf(algorithm, out.ChecksumCRC64NVME, out.ChecksumCRC32C),
	}, nil
}
