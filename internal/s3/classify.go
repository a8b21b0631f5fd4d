package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Classify turns any error of an attempt into an *Error that names what was
// attempted, op, and on what, key. An *Error inside err is returned as it is.
func Classify(op, key string, err error) *Error {
	if known := (*Error)(nil); errors.As(err, &known) {
		return known
	}
	v := verdictOf(err)
	if action := actions()[op]; v.reason == ReasonPermissionDenied && action != "" {
		v.advice = "allow " + action + " in the policy of the credentials or the bucket"
	}
	return &Error{Class: v.class, Reason: v.reason, Op: op, Key: key, Err: err, advice: v.advice, common: v.common}
}

// actions are what policies call what is attempted.
func actions() map[string]string {
	return map[string]string{
		"store": "s3:PutObject", opPut: "s3:PutObject", "upload part": "s3:PutObject",
		"create multipart upload": "s3:PutObject", opComplete: "s3:PutObject",
		"abort multipart upload": "s3:AbortMultipartUpload", "list parts": "s3:ListMultipartUploadParts",
		"list multipart uploads": "s3:ListBucketMultipartUploads",
		"get object":             "s3:GetObject", opLookUp: "s3:GetObject and s3:ListBucket",
		"list objects": "s3:ListBucket", "look up bucket": "s3:ListBucket", "thaw object": "s3:RestoreObject",
	}
}

// adviceNoS3 is what to do where answers are not those of S3.
const adviceNoS3 = "check that the endpoint speaks S3"

// verdict is the classification of a cause.
type verdict struct {
	class  Class
	reason string
	// advice tells people what to do; "" if the only remedy is a retry.
	advice string
	// common: it is not the object that the server has something against.
	common bool
}

func verdictOf(err error) verdict {
	var api smithy.APIError
	var credentials credentialsError
	var unreadable *smithy.DeserializationError
	switch {
	case err == nil:
		return verdict{}
	case scarce(err):
		return judged(Transient, ReasonTooManyOpenFiles, scarceAdvice(err))
	// Early, for credentials may come from services that answer with codes of their own.
	case errors.As(err, &credentials):
		return judged(Credentials, ReasonCredentialsMissing, "provide credentials")
	case errors.Is(err, context.Canceled):
		return judged(Transient, ReasonCanceled, "")
	case errors.Is(err, ErrNotFound):
		return judged(Missing, ReasonObjectNotFound, "")
	case errors.As(err, &api):
		return answered(api.ErrorCode(), api.ErrorMessage(), Status(err))
	case errors.As(err, &unreadable) && Status(err)/100 == 2 && !errors.Is(err, io.ErrUnexpectedEOF) && !timedOut(err):
		// The server has done what it was asked; to ask again would do it again.
		return judged(Source, ReasonAnswerUnreadable, adviceNoS3)
	case Status(err)/100 == 2:
		return unanswered(err)
	case Status(err) != 0:
		return answered("", "", Status(err))
	default:
		return unanswered(err)
	}
}

// unanswered judges an attempt to which no answer came.
func unanswered(err error) verdict {
	var operation *net.OpError
	var dns *net.DNSError
	switch {
	case untrusted(err):
		return judged(Configuration, ReasonCertificateNotTrusted, "trust the certificate's issuer with a CA bundle, or correct the endpoint's name")
	case answersTLS(err):
		return judged(Configuration, ReasonEndpointUnreachable, "use https in the endpoint")
	case errors.As(err, new(proxyError)):
		return judged(Configuration, ReasonEndpointUnreachable, "correct HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or start the proxy")
	case errors.Is(err, http.ErrSchemeMismatch):
		return judged(Configuration, ReasonEndpointUnreachable, "use http in the endpoint, or serve https there")
	case errors.As(err, &dns), errors.As(err, &operation) && operation.Op == "dial":
		return judged(Configuration, ReasonEndpointUnreachable, "check the endpoint and the network")
	case timedOut(err):
		return judged(Transient, ReasonTimeout, "")
	case neverSent(err):
		return judged(Configuration, ReasonConfigurationRejected, "check bucket, region and endpoint")
	default:
		return judged(Transient, ReasonConnectionLost, "")
	}
}

// judged is a verdict on what is known.
func judged(class Class, reason, advice string) verdict {
	return verdict{class: class, reason: reason, advice: advice}
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// answersTLS reports whether what came instead of an HTTP answer is a TLS alert.
func answersTLS(err error) bool {
	return strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`)
}

func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verification) || errors.As(err, &authority) ||
		errors.As(err, &hostname) || errors.As(err, &invalid)
}

// neverSent reports whether the SDK gave up on a request before sending it, which
// it does when it can make no request of what was configured. An answer that was cut off
// has a status.
func neverSent(err error) bool {
	var operation *smithy.OperationError
	var sent *smithyhttp.RequestSendError
	return errors.As(err, &operation) && !errors.As(err, &sent) && Status(err) == 0
}

// answered judges the server's error code and message, "" when there were none, and the
// HTTP status.
func answered(code, message string, status int) verdict {
	if code == strings.ReplaceAll(http.StatusText(status), " ", "") {
		// There was none, and the SDK has made one of the status.
		code = ""
	}
	if v, ok := ofEncryption(code, message, status); ok {
		return v
	}
	if v, ok := temporary(code); ok {
		return v
	}
	if v, ok := rejected(code); ok {
		return v
	}
	return byStatus(code, status)
}

// ofEncryption classifies errors of the key management service, which has limits of its own.
func ofEncryption(code, message string, status int) (verdict, bool) {
	named := strings.Contains(code, "KMS") || strings.Contains(message, "KMS") || strings.Contains(message, "Key Management")
	switch {
	case !named:
		return verdict{}, false
	case strings.Contains(code, "Throttl"), status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return judged(Throttled, ReasonKMSThrottled, "use a bucket key, or ask for more requests per second to the KMS"), true
	default:
		return judged(Configuration, ReasonConfigurationRejected, "check the encryption key"), strings.Contains(code, "KMS") && status < 500
	}
}

// temporary classifies codes that may pass with another attempt.
func temporary(code string) (verdict, bool) {
	switch code {
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "RequestLimitExceeded",
		"TooManyRequests", "TooManyRequestsException", "Throttling", "ThrottlingException", "ThrottledException",
		"RequestThrottled", "BandwidthLimitExceeded":
		return judged(Throttled, ReasonThrottled, ""), true
	case "InternalError", "OperationAborted", "ConditionalRequestConflict", "IncompleteBody":
		return judged(Transient, ReasonServerError, ""), true
	case "RequestTimeout", "RequestTimeoutException":
		return judged(Transient, ReasonTimeout, ""), true
	case "NoSuchUpload":
		return judged(Transient, ReasonUploadVanished, ""), true
	case "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidPart":
		return judged(Integrity, ReasonChecksumMismatch, ""), true
	default:
		return verdict{}, false
	}
}

// rejected classifies codes that persist until somebody fixes something.
func rejected(code string) (verdict, bool) {
	switch code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity", "AuthFailure",
		"UnrecognizedClientException", "InvalidClientTokenId", "NotSignedUp", "XAdminUserNotFound":
		return judged(Credentials, ReasonCredentialsRejected, "correct the credentials"), true
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired":
		return judged(Credentials, ReasonCredentialsExpired, "renew the credentials"), true
	case "AccessDenied", "AllAccessDisabled", "AccountProblem":
		return judged(Permission, ReasonPermissionDenied, "allow the request in the policy of the credentials or the bucket"), true
	case "NoSuchBucket":
		return judged(Missing, ReasonBucketNotFound, "create the bucket or correct its name"), true
	case "NoSuchKey":
		return judged(Missing, ReasonObjectNotFound, ""), true
	case "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect",
		"TemporaryRedirect", "IncorrectEndpoint", "InvalidRegion":
		return judged(Configuration, ReasonRegionMismatch, "set the bucket's own region and endpoint"), true
	case "RequestTimeTooSkewed", "RequestInTheFuture":
		return judged(Configuration, ReasonClockSkewed, "set this machine's clock"), true
	case "InvalidObjectState":
		return judged(Source, ReasonObjectFrozen, "it is in an archive storage class and must be thawed first: restore with --thaw, or with spec.thaw"), true
	case "KeyTooLongError", "KeyTooLong":
		return judged(Source, ReasonKeyTooLong, "shorten the path"), true
	case "InvalidURI", "InvalidObjectName", "XMinioInvalidObjectName", "XMinioParentIsObject", "XMinioObjectExistsAsDirectory",
		"ObjectParentIsFile", "ExistingObjectIsDirectory", "ExistingObjectIsFile", "MetadataTooLarge":
		return judged(Source, ReasonObjectRejected, "the server takes no such object"), true
	case "EntityTooLarge":
		return judged(Source, ReasonTooLarge, "split the file"), true
	case "InvalidStorageClass", "InvalidEncryptionAlgorithmError", "InvalidTag", "InvalidBucketName", "InvalidArgument",
		"InvalidRequest", "NotImplemented", "MethodNotAllowed", "MalformedXML", "InvalidBucketState",
		"UnsupportedArgument", "ServerSideEncryptionConfigurationNotFoundError":
		return judged(Configuration, ReasonConfigurationRejected, "correct the settings of the destination"), true
	default:
		return noRoom("make room at the destination, or raise the quota"), strings.Contains(code, "Quota")
	}
}

// noRoom is a verdict on the destination, although smaller objects may still find room.
func noRoom(advice string) verdict {
	return verdict{Configuration, ReasonConfigurationRejected, advice, true}
}

// byStatus classifies responses by their status, if the code is unknown, or absent as from
// proxies and to HEAD.
func byStatus(code string, status int) verdict {
	switch {
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return judged(Throttled, ReasonThrottled, "")
	case status == http.StatusInsufficientStorage:
		return noRoom("make room at the destination")
	case status == http.StatusNotImplemented:
		return judged(Configuration, ReasonConfigurationRejected, "correct the settings of the destination")
	case status >= 500, status == http.StatusRequestTimeout:
		return judged(Transient, ReasonServerError, "")
	case status == http.StatusUnauthorized:
		return judged(Credentials, ReasonCredentialsRejected, "correct the credentials")
	case status == http.StatusForbidden:
		return judged(Permission, ReasonPermissionDenied, "check the credentials and their policy")
	case status == http.StatusProxyAuthRequired:
		return judged(Configuration, ReasonEndpointUnreachable, "give the proxy a name and a password: HTTP_PROXY=http://NAME:PASSWORD@HOST:PORT")
	case status >= 300 && status < 400:
		return judged(Configuration, ReasonRegionMismatch, "set the bucket's own region and endpoint, and check that the endpoint speaks S3")
	case status >= 400 && code == "":
		return judged(Configuration, ReasonConfigurationRejected, adviceNoS3)
	case status >= 400:
		return judged(Configuration, ReasonConfigurationRejected, "follow the server's message")
	default:
		return judged(Transient, ReasonServerError, "")
	}
}

// answersNoS3 reports whether an answer names no error, as S3 does.
func answersNoS3(err error) bool {
	var api smithy.APIError
	return !errors.As(err, &api) || api.ErrorCode() == "" || api.ErrorCode() == strings.ReplaceAll(http.StatusText(Status(err)), " ", "")
}

// Status returns the HTTP status of the answer, 0 when there was none.
func Status(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// retryAfter returns how long the server asks to wait, 0 when it does not, at most a minute.
func retryAfter(err error) time.Duration {
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil {
		return 0
	}
	seconds, err := strconv.Atoi(response.Response.Header.Get("Retry-After"))
	if err != nil {
		return 0
	}
	return time.Duration(min(max(seconds, 0), 60)) * time.Second
}

// cause describes e.Err in one line, without the layers of SDK and HTTP client.
func (e *Error) cause() string {
	var api smithy.APIError
	var transport *url.Error
	var operation *smithy.OperationError
	var credentials credentialsError
	text := ""
	switch {
	case e.Reason == ReasonCanceled:
		text = "stopped"
	case errors.As(e.Err, &credentials):
		text = credentials.Error()
	case errors.As(e.Err, &api):
		text = api.ErrorCode()
		if m := api.ErrorMessage(); m != "" && m != text {
			text += ": " + m
		}
		if status := Status(e.Err); status != 0 {
			text = fmt.Sprintf("%s (HTTP %d)", strings.TrimSuffix(text, "."), status)
		}
	case errors.As(e.Err, &transport):
		text = transport.Err.Error()
	case errors.As(e.Err, &operation):
		text = operation.Err.Error()
	default:
		text = e.Err.Error()
	}
	return oneLine(text)
}

// oneLine joins lines and bounds the length, since servers choose their messages.
func oneLine(text string) string {
	const most = 300
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
