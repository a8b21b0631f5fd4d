package s3

import (
	"context"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TellsSettings reports whether MadeAsAsked knows of everything that is asked for: no server tells
// in its answer to HEAD what tags and what ACL an object was made with. Where no object may be
// replaced it is too late to ask.
func (c *Client) TellsSettings() bool {
	return c.tags == "" && c.options.Asked.ACL == "" && !c.options.NoOverwrite
}

// MadeAsAsked reports, in one attempt, whether an object has the metadata and the settings that are
// asked for. What is not asked for is left to the bucket, but for the storage class, of which buckets
// have no default.
func (c *Client) MadeAsAsked(ctx context.Context, o Object) (bool, error) {
	out, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &c.options.Bucket, Key: &o.Key})
	if err != nil {
		return false, notFound(err)
	}
	same := maps.Equal(lowered(out.Metadata), lowered(o.Metadata)) &&
		storageClass(string(out.StorageClass)) == storageClass(c.options.StorageClass) &&
		c.encryptedAsAsked(out) && c.options.Asked.ObjectLock.locks(out)
	return same, nil
}

func lowered(metadata map[string]string) map[string]string {
	lower := make(map[string]string, len(metadata))
	for name, value := range metadata {
		lower[strings.ToLower(name)] = value
	}
	return lower
}

// storageClass is the class by its name: "" is how S3 says STANDARD.
func storageClass(name string) string {
	if name == "STANDARD" {
		return ""
	}
	return name
}

// encryptedAsAsked reports whether an object has the encryption asked for. S3 tells the key by its
// ARN, which ends in its ID.
func (c *Client) encryptedAsAsked(out *s3.HeadObjectOutput) bool {
	o, key := c.options, ""
	if out.SSEKMSKeyId != nil {
		key = *out.SSEKMSKeyId
	}
	switch {
	case o.SSE != "" && o.SSE != string(out.ServerSideEncryption):
		return false
	case o.KMSKeyID != "" && o.KMSKeyID != key && !strings.HasSuffix(key, "/"+o.KMSKeyID):
		return false
	default:
		return !o.Asked.BucketKey || out.BucketKeyEnabled != nil && *out.BucketKeyEnabled
	}
}

// locks reports whether an object is locked so.
func (l ObjectLock) locks(out *s3.HeadObjectOutput) bool {
	switch {
	case l.LegalHold && out.ObjectLockLegalHoldStatus != "ON":
		return false
	case l.Mode == "":
		return true
	default:
		return l.Mode == string(out.ObjectLockMode) && out.ObjectLockRetainUntilDate != nil &&
			l.Until.Unix() == out.ObjectLockRetainUntilDate.Unix()
	}
}
