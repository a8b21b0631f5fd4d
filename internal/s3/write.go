package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// ChecksumAlgorithm is the checksum the server verifies, known after the first
// successful write; "" before.
func (c *Client) ChecksumAlgorithm() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.confirmed
}

const opPut = "put object"

// Put stores a bookkeeping object, with a checksum and with retries.
func (c *Client) Put(ctx context.Context, key string, content []byte) error {
	return c.putBookkeeping(ctx, key, content, attributes{})
}

func (c *Client) putBookkeeping(ctx context.Context, key string, content []byte, a attributes) error {
	return c.WithChecksum(func(algorithm string) error {
		b := ContentBody(algorithm, content, Section{})
		return c.retry(ctx, opPut, key, func(ctx context.Context) error {
			_, err := c.putObject(ctx, key, a, algorithm, b)
			if err == nil {
				return nil
			}
			e := Classify(opPut, key, canceled(ctx, err))
			e.common = true
			return e
		})
	})
}

// WithChecksum runs write with the algorithm that the server is known to confirm. As long
// as none is known and none was asked for, it goes on to the next when one is rejected.
func (c *Client) WithChecksum(write func(algorithm string) error) error {
	var first error
	for _, algorithm := range c.candidates() {
		err := write(algorithm)
		if err == nil {
			c.confirm(algorithm)
			return nil
		}
		if first == nil {
			first = err
		}
		if !rejectsChecksum(err) {
			return err
		}
	}
	// It was not the checksum after all, or none will do.
	return first
}

// proofs are all that a Client takes for proof, the best first.
func proofs() []string { return []string{ChecksumCRC64NVME, ChecksumCRC32C, ChecksumMD5} }

// candidates are the algorithms to try.
func (c *Client) candidates() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.options.Checksum != "":
		return []string{c.options.Checksum}
	case c.confirmed != "":
		return []string{c.confirmed}
	default:
		return proofs()
	}
}

func (c *Client) confirm(algorithm string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.confirmed == "" {
		c.confirmed = algorithm
	}
}

// rejectsChecksum reports whether err may come from a server that does not know the
// checksum: it does not say so in any agreed way.
func rejectsChecksum(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Reason == ReasonChecksumUnsupported || e.Reason == ReasonConfigurationRejected)
}

// attributes are what is stored of an object beside its content. Bookkeeping objects have none.
type attributes struct {
	metadata     map[string]string
	storageClass string
	// tags as S3 wants them in a header.
	tags string
	// onlyNew: no object with the key may exist.
	onlyNew bool
	// onlyOver is the ETag, quotes and all, of the one object that may be replaced; "" for any.
	onlyOver string
	// file: the object is of a file rather than bookkeeping.
	file bool
}

// Object is what is known of an object before it is sent.
type Object struct {
	Key string
	// Metadata is stored with the object; names and values are ASCII.
	Metadata map[string]string
}

func (c *Client) attributesOf(o Object) attributes {
	return attributes{metadata: o.Metadata, storageClass: c.options.StorageClass, tags: c.tags, file: true}
}

// PutFile stores the object of a file in one attempt, as putObject does; with NoOverwrite
// it replaces none.
func (c *Client) PutFile(ctx context.Context, o Object, algorithm string, b *Body) (etag string, err error) {
	a := c.attributesOf(o)
	put := func(onlyNew bool) (string, error) {
		a.onlyNew = onlyNew
		return c.putObject(ctx, o.Key, a, algorithm, b)
	}
	etag, err = c.putIfAbsent(ctx, expected{o.Key, b.Length, algorithm, b.sum.Encode(algorithm), b.etag}, put)
	if err == nil {
		c.learnCondition(put)
	}
	return etag, err
}

// putObject stores an object, and returns its ETag once the server has confirmed the
// checksum.
func (c *Client) putObject(ctx context.Context, key string, a attributes, algorithm string, b *Body) (etag string, err error) {
	began := c.rejections.begin()
	sum := b.sum.Encode(algorithm)
	var got stored
	if c.wire == nil {
		got, err = c.sdkPutObject(ctx, key, a, algorithm, sum, b)
	} else {
		header := make(http.Header, 16)
		for name, value := range a.metadata {
			header.Set("X-Amz-Meta-"+name, value)
		}
		c.describe(header, a)
		got, err = c.put(ctx, key, "", header, algorithm, sum, b)
	}
	if err == nil {
		if a.file {
			c.rejections.accept(began)
		}
		err = c.proven(ctx, key, algorithm, b, got)
	}
	return strings.Trim(got.etag, `"`), err
}

// UploadPart stores one part of an upload in one attempt, and returns its ETag, quotes and all, once
// the server has confirmed the checksum.
func (c *Client) UploadPart(ctx context.Context, u OpenUpload, number int32, algorithm string, b *Body) (etag string, err error) {
	sum := b.sum.Encode(algorithm)
	var got stored
	if c.wire == nil {
		got, err = c.sdkUploadPart(ctx, u, number, algorithm, sum, b)
	} else {
		query := "partNumber=" + strconv.Itoa(int(number)) + "&uploadId=" + url.QueryEscape(u.UploadID)
		got, err = c.put(ctx, u.Key, query, make(http.Header, 16), algorithm, sum, b)
	}
	if err == nil {
		err = c.proven(ctx, u.Key, algorithm, b, got)
	}
	return got.etag, err
}

// stored is what the server says of what it has stored.
type stored struct{ etag, checksum string }

// checksumHeader is the name of the header that carries a checksum.
func checksumHeader(algorithm string) string {
	switch algorithm {
	case ChecksumMD5:
		return "Content-Md5"
	case ChecksumCRC32C:
		return "X-Amz-Checksum-Crc32c"
	default:
		return "X-Amz-Checksum-Crc64nvme"
	}
}

func (c *Client) put(ctx context.Context, key, query string, header http.Header, algorithm, sum string, b *Body) (stored, error) {
	set(header, c.options.Asked.always())
	name := checksumHeader(algorithm)
	if algorithm == ChecksumMD5 {
		digest, err := b.MD5(ctx)
		if err != nil {
			return stored{}, err
		}
		header[name] = []string{base64.StdEncoding.EncodeToString(digest)}
		answer, err := c.wire.put(ctx, key, query, header, b)
		return stored{etag: answer.Get("ETag")}, err
	}
	header[name] = []string{sum}
	answer, err := c.wire.put(ctx, key, query, header, b)
	return stored{answer.Get("ETag"), answer.Get(name)}, err
}

// describe puts the attributes and the encryption of an object into the headers of a request.
func (c *Client) describe(header http.Header, a attributes) {
	if a.onlyNew {
		header["If-None-Match"] = []string{anyETag}
	}
	if a.onlyOver != "" {
		header["If-Match"] = []string{a.onlyOver}
	}
	set(header, c.options.Asked.ofObject(a.file))
	set(header, map[string]string{
		"X-Amz-Storage-Class":                         a.storageClass,
		"X-Amz-Tagging":                               a.tags,
		"X-Amz-Server-Side-Encryption":                c.options.SSE,
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": c.options.KMSKeyID,
	})
}

// settledETag returns the ETag under which the server keeps an object that was just made of
// parts, for some say another when they make it, and compares the size. Who may not ask
// takes the one that was said. An answer that said none may be somebody else's, such as a
// proxy's: then the object must prove itself.
func (c *Client) settledETag(ctx context.Context, want expected, said string) (string, error) {
	if said == "" {
		if etag, ok := c.findStored(ctx, want); ok {
			return etag, nil
		}
		// The upload may still be open, so the same request may succeed.
		return "", &Error{Class: Transient, Reason: ReasonAnswerUnreadable, Op: opComplete, Key: want.key,
			Err: errors.New("the answer names no object, and the object is not stored"), advice: adviceNoS3}
	}
	object, err := c.head(ctx, want.key, want.algorithm)
	switch {
	case err != nil:
		return said, nil
	case object.etag == "":
		return "", &Error{Class: Transient, Reason: ReasonServerError, Op: opComplete, Key: want.key,
			Err: errors.New("the server says that it has made the object, and that there is none")}
	case object.bytes != want.size:
		return "", mismatch(want.key, fmt.Sprintf("of %d bytes", want.size), fmt.Sprintf("%d", object.bytes))
	}
	return object.etag, nil
}

// findStored returns the ETag of the object if it is the expected one.
func (c *Client) findStored(ctx context.Context, want expected) (etag string, ok bool) {
	object, err := c.head(ctx, want.key, want.algorithm)
	switch {
	case err != nil || object.etag == "" || object.bytes != want.size:
		return "", false
	case object.checksum != "":
		return object.etag, object.checksum == want.sum
	}
	proof, err := want.etag(ctx)
	return object.etag, err == nil && strings.EqualFold(proof, object.etag)
}

func (c *Client) encrypt(sse *types.ServerSideEncryption, key **string) {
	*sse = types.ServerSideEncryption(c.options.SSE)
	*key = optional(c.options.KMSKeyID)
}

// encodeTags returns the tags as S3 wants them in a header, "" for none.
func encodeTags(all map[string]string) string {
	tags := url.Values{}
	for name, value := range all {
		tags.Set(name, value)
	}
	// Not every server takes "+" for a space; all take "%20".
	return strings.ReplaceAll(tags.Encode(), "+", "%20")
}

// optional returns nil for "".
func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

func setChecksum(algorithm, sum string, crc64nvme, crc32c **string) {
	switch algorithm {
	case ChecksumCRC64NVME:
		*crc64nvme = &sum
	case ChecksumCRC32C:
		*crc32c = &sum
	}
}

func checksumOf(algorithm string, crc64nvme, crc32c *string) string {
	switch algorithm {
	case ChecksumCRC64NVME:
		return aws.ToString(crc64nvme)
	case ChecksumCRC32C:
		return aws.ToString(crc32c)
	default:
		return ""
	}
}

// checksumType is how S3 makes an object's checksum of those of its parts.
func checksumType(algorithm string) types.ChecksumType {
	if algorithm == ChecksumCRC32C {
		return types.ChecksumTypeComposite
	}
	return types.ChecksumTypeFullObject
}
