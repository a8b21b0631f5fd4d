package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// refusal is an answer of a server, as the SDK reports it.
func refusal(status int, code, message string) error {
	err := error(&smithy.GenericAPIError{Code: code, Message: message})
	if code == "" {
		err = errors.New("no body")
	}
	return &smithy.OperationError{ServiceID: "S3", OperationName: "PutObject", Err: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err,
	}}
}

func TestClassifyAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		class  Class
		reason string
	}{
		{503, "SlowDown", Throttled, ReasonThrottled},
		{503, "", Throttled, ReasonThrottled},
		{503, "SomethingNew", Throttled, ReasonThrottled},
		{429, "", Throttled, ReasonThrottled},
		{400, "KMS.ThrottlingException", Throttled, ReasonKMSThrottled},
		{400, "KMS.NotFoundException", Configuration, ReasonConfigurationRejected},
		{400, "XMinioKMSKeyNotFoundException", Configuration, ReasonConfigurationRejected},
		{400, "XMinioAdminBucketQuotaExceeded", Configuration, ReasonConfigurationRejected},
		{400, "XMinioInvalidObjectName", Source, ReasonObjectRejected},
		{400, "RequestTimeout", Transient, ReasonTimeout},
		{409, "OperationAborted", Transient, ReasonServerError},
		{502, "", Transient, ReasonServerError},
		{500, "SomethingNew", Transient, ReasonServerError},
		{400, "BadDigest", Integrity, ReasonChecksumMismatch},
		{403, "ExpiredToken", Credentials, ReasonCredentialsExpired},
		{401, "", Credentials, ReasonCredentialsRejected},
		{403, "", Permission, ReasonPermissionDenied},
		{404, "NoSuchBucket", Missing, ReasonBucketNotFound},
		{403, "RequestTimeTooSkewed", Configuration, ReasonClockSkewed},
		{307, "", Configuration, ReasonRegionMismatch},
		{400, "InvalidStorageClass", Configuration, ReasonConfigurationRejected},
		{507, "", Configuration, ReasonConfigurationRejected},
		{400, "KeyTooLongError", Source, ReasonKeyTooLong},
		{409, "SomethingNew", Configuration, ReasonConfigurationRejected},
		{404, "", Configuration, ReasonConfigurationRejected},
		{403, "InvalidObjectState", Source, ReasonObjectFrozen},
	} {
		t.Run(fmt.Sprintf("%d %s", c.status, c.code), func(t *testing.T) {
			wantError(t, Classify("put object", "key", refusal(c.status, c.code, "because")), c.class, c.reason)
		})
	}
}

func TestClassifySilence(t *testing.T) {
	for _, c := range []struct {
		err    error
		reason string
	}{
		{context.Canceled, ReasonCanceled},
		{context.DeadlineExceeded, ReasonTimeout},
		{io.ErrUnexpectedEOF, ReasonConnectionLost},
		{syscall.ECONNRESET, ReasonConnectionLost},
		{errors.New("anything"), ReasonConnectionLost},
	} {
		wantError(t, Classify("put object", "key", fmt.Errorf("send: %w", c.err)), Transient, c.reason)
	}
	known := &Error{Class: Source, Reason: ReasonChanged}
	if got := Classify("other", "key", fmt.Errorf("wrapped: %w", known)); got != known {
		t.Errorf("Classify of an *Error = %v, want it unchanged", got)
	}
}

func TestErrorReadsWell(t *testing.T) {
	err := Classify("put object", "base/a\nb", refusal(403, "AccessDenied", "No,\n you may\tnot."))
	want := `put object "base/a\nb": AccessDenied: No, you may not (HTTP 403): ` +
		`allow s3:PutObject in the policy of the credentials or the bucket`
	if err.Error() != want {
		t.Errorf("Error = %s\nwant    %s", err, want)
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(503, "SlowDown", "reduce your request rate")
	f.Add(0, "", "\xff\n\n")
	f.Add(404, "KMS.", strings.Repeat("ü", 400))
	classes := []Class{Throttled, Transient, Credentials, Permission, Missing, Integrity, Source, Configuration}
	f.Fuzz(func(t *testing.T, status int, code, message string) {
		e := Classify("op", "key", refusal(status, code, message))
		if !slices.Contains(classes, e.Class) || e.Reason == "" {
			t.Errorf("class %q, reason %q", e.Class, e.Reason)
		}
		if e.Class.Blocks() && e.Class.Retryable() {
			t.Errorf("class %s both blocks and is retryable", e.Class)
		}
		text := e.Error()
		if strings.ContainsAny(text, "\r\n") || !utf8.ValidString(text) || len(text) > 600 {
			t.Errorf("not one short line of text: %q", text)
		}
	})
}
