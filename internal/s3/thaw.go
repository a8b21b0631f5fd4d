package s3

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// Storage is how an object is kept.
type Storage struct {
	// Class as the server names it; empty for STANDARD, and where the server says none.
	Class string
	// Frozen: it can't be read until somebody has it thawed. Thawing: that was asked for, and
	// goes on.
	Frozen, Thawing bool
	// Until is when the readable copy of a thawed object ends; zero without one.
	Until time.Time
}

// storageOf reads what the answer to HEAD says of an object's storage.
func storageOf(out *s3.HeadObjectOutput) Storage {
	s := Storage{Class: string(out.StorageClass)}
	ongoing, until, asked := parseRestore(aws.ToString(out.Restore))
	archived := out.StorageClass == types.StorageClassGlacier || out.StorageClass == types.StorageClassDeepArchive || out.ArchiveStatus != ""
	s.Frozen, s.Thawing, s.Until = archived && !asked, ongoing, until
	return s
}

// parseRestore reads x-amz-restore, such as
//
//	ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"
func parseRestore(header string) (ongoing bool, until time.Time, asked bool) {
	value := func(name string) (string, bool) {
		_, rest, found := strings.Cut(header, name+`="`)
		text, _, closed := strings.Cut(rest, `"`)
		return text, found && closed
	}
	state, asked := value("ongoing-request")
	if date, ok := value("expiry-date"); ok {
		until, _ = http.ParseTime(date) // One that can't be read tells nothing.
	}
	return state == "true", until, asked
}

// ThawRequest is what is asked of an archived object.
type ThawRequest struct {
	// Days is how long its readable copy is kept; one of S3 Intelligent-Tiering is moved
	// instead, and needs none.
	Days int32
	// Tier is Standard, Bulk or Expedited.
	Tier string
}

// Thaw asks for an archived object to be made readable, which takes minutes to days. That it was
// asked for already is no error.
func (c *Client) Thaw(ctx context.Context, key string, storage Storage, r ThawRequest) error {
	const op = "thaw object"
	in := &s3.RestoreObjectInput{Bucket: &c.options.Bucket, Key: &key, RestoreRequest: &types.RestoreRequest{
		Days: &r.Days, GlacierJobParameters: &types.GlacierJobParameters{Tier: types.Tier(r.Tier)},
	}}
	if storage.Class == string(types.StorageClassIntelligentTiering) {
		in.RestoreRequest.Days = nil
	}
	return c.retry(ctx, op, key, func(ctx context.Context) error {
		_, err := c.s3.RestoreObject(ctx, in)
		var api smithy.APIError
		switch {
		case !errors.As(err, &api):
			return err
		case api.ErrorCode() == "RestoreAlreadyInProgress":
			return nil
		case api.ErrorCode() == "GlacierExpeditedRetrievalNotAvailable":
			// Its status is that of throttling, which it is not.
			return &Error{Class: Configuration, Reason: ReasonThawUnavailable, Op: op, Key: key, Err: err,
				advice: "the provider has no capacity for the tier Expedited now: use the tier Standard, or rerun later"}
		case Status(err) == http.StatusNotImplemented, Status(err) == http.StatusMethodNotAllowed:
			return &Error{Class: Configuration, Reason: ReasonThawUnavailable, Op: op, Key: key, Err: err,
				advice: "the server can't thaw objects by request: do it with the tools of the provider, then rerun"}
		default:
			return err
		}
	})
}
