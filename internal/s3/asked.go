package s3

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// ObjectLock retains the objects of files until a time, in buckets with Object Lock. The
// bookkeeping is overwritten, and retained by the bucket's own default.
type ObjectLock struct {
	// Mode is GOVERNANCE or COMPLIANCE, and goes with Until. Empty: the bucket's default.
	Mode  string
	Until time.Time
	// LegalHold keeps them until somebody lifts it.
	LegalHold bool
}

// Asked are settings that some buckets require of requests.
type Asked struct {
	// ObjectLock of the files' objects.
	ObjectLock ObjectLock
	// ACL is the name of a canned ACL for all objects. Empty: the bucket's default.
	ACL string
	// BucketKey has aws:kms use a key of the bucket, which asks the KMS less often.
	BucketKey bool
	// RequesterPays agrees to pay for requests.
	RequesterPays bool
	// ExpectedBucketOwner is the account that the bucket must be of. Empty: any.
	ExpectedBucketOwner string
}

// CannedACLs are the names that S3 takes for an object.
func CannedACLs() []string {
	return []string{"private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control"}
}

func (a Asked) validate() error {
	l := a.ObjectLock
	switch {
	case (l.Mode == "") != l.Until.IsZero():
		return errors.New("an Object Lock needs a mode and a retain-until time, or neither")
	case !slices.Contains([]string{"", "GOVERNANCE", "COMPLIANCE"}, l.Mode):
		return errors.New("the mode of an Object Lock is GOVERNANCE or COMPLIANCE")
	case a.ACL != "" && !slices.Contains(CannedACLs(), a.ACL):
		return errors.New("a canned ACL is one of those that S3 has, such as bucket-owner-full-control")
	}
	return nil
}

// always are the headers of every request.
func (a Asked) always() map[string]string {
	all := map[string]string{"X-Amz-Expected-Bucket-Owner": a.ExpectedBucketOwner}
	if a.RequesterPays {
		all["X-Amz-Request-Payer"] = "requester"
	}
	return all
}

// ofObject are the headers of requests that make an object, of a file or not.
func (a Asked) ofObject(file bool) map[string]string {
	all := map[string]string{"X-Amz-Acl": a.ACL}
	if a.BucketKey {
		all["X-Amz-Server-Side-Encryption-Bucket-Key-Enabled"] = "true"
	}
	if !file {
		return all
	}
	if l := a.ObjectLock; l.Mode != "" {
		all["X-Amz-Object-Lock-Mode"] = l.Mode
		all["X-Amz-Object-Lock-Retain-Until-Date"] = l.Until.UTC().Format(time.RFC3339)
	}
	if a.ObjectLock.LegalHold {
		all["X-Amz-Object-Lock-Legal-Hold"] = "ON"
	}
	return all
}

// set puts headers that are not empty into a request's.
func set(header http.Header, all map[string]string) {
	for name, value := range all {
		if value != "" {
			header[name] = []string{value}
		}
	}
}

// withHeaders has a request of the SDK carry headers that are not empty, signed.
func withHeaders(all map[string]string) func(*s3.Options) {
	return func(o *s3.Options) { o.APIOptions = append(o.APIOptions, carry(all)) }
}

func carry(all map[string]string) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Build.Add(middleware.BuildMiddlewareFunc("Carry"+names(all), func(
			ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler,
		) (middleware.BuildOutput, middleware.Metadata, error) {
			if request, ok := in.Request.(*smithyhttp.Request); ok {
				set(request.Header, all)
			}
			return next.HandleBuild(ctx, in)
		}), middleware.After)
	}
}

// names tells middleware of different headers apart.
func names(all map[string]string) (joined string) {
	var sorted []string
	for name := range all {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		joined += " " + name
	}
	return joined
}
