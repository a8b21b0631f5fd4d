package transfer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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
	return &Error{Class: v.class, Reason: v.reason, Op: op, Key: key, Err: err, advice: v.advice}
}

// verdict is what Classify finds out about a cause.
type verdict struct {
	class  Class
	reason string
	// advice tells a person what to do; "" when there is nothing but to try again.
	advice string
}

func verdictOf(err error) verdict {
	var api smithy.APIError
	var credentials credentialsError
	switch {
	// First, for credentials may come from services that answer with codes of their own.
	case errors.As(err, &credentials):
		return verdict{Credentials, ReasonCredentialsMissing, "provide credentials"}
	case errors.As(err, &api):
		return answered(api.ErrorCode(), statusOf(err))
	case statusOf(err) != 0:
		return answered("", statusOf(err))
	case errors.Is(err, context.Canceled):
		return verdict{Transient, ReasonCanceled, ""}
	default:
		return unanswered(err)
	}
}

// unanswered judges an attempt to which no answer came.
func unanswered(err error) verdict {
	var operation *net.OpError
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case untrusted(err):
		return verdict{Configuration, ReasonCertificateNotTrusted,
			"trust the certificate's issuer with a CA bundle, or correct the endpoint's name"}
	case errors.As(err, new(proxyError)):
		return verdict{Configuration, ReasonEndpointUnreachable, "correct HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or start the proxy"}
	case errors.Is(err, http.ErrSchemeMismatch):
		return verdict{Configuration, ReasonEndpointUnreachable, "use http in the endpoint, or serve https there"}
	case errors.As(err, &dns), errors.As(err, &operation) && operation.Op == "dial":
		return verdict{Configuration, ReasonEndpointUnreachable, "check the endpoint and the network"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return verdict{Transient, ReasonTimeout, ""}
	case neverSent(err):
		return verdict{Configuration, ReasonConfigurationRefused, "check bucket, region and endpoint"}
	default:
		return verdict{Transient, ReasonConnectionLost, ""}
	}
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
// it does when it can make no request of what was configured.
func neverSent(err error) bool {
	var operation *smithy.OperationError
	var sent *smithyhttp.RequestSendError
	return errors.As(err, &operation) && !errors.As(err, &sent)
}

// answered judges the server's error code, "" when there was none, and the HTTP status.
func answered(code string, status int) verdict {
	if v, ok := temporary(code); ok {
		return v
	}
	if v, ok := refused(code); ok {
		return v
	}
	return byStatus(code, status)
}

// temporary judges codes that another attempt may not meet again.
func temporary(code string) (verdict, bool) {
	switch code {
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "RequestLimitExceeded",
		"TooManyRequests", "TooManyRequestsException", "Throttling", "ThrottlingException", "ThrottledException",
		"RequestThrottled", "BandwidthLimitExceeded", "KMS.ThrottlingException":
		return verdict{Throttled, ReasonThrottled, ""}, true
	case "InternalError", "OperationAborted", "ConditionalRequestConflict", "IncompleteBody":
		return verdict{Transient, ReasonServerError, ""}, true
	case "RequestTimeout", "RequestTimeoutException":
		return verdict{Transient, ReasonTimeout, ""}, true
	case "NoSuchUpload":
		return verdict{Transient, ReasonUploadVanished, ""}, true
	case "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidPart":
		return verdict{Integrity, ReasonChecksumMismatch, ""}, true
	default:
		return verdict{}, false
	}
}

// refused judges codes that stay until somebody mends something.
func refused(code string) (verdict, bool) {
	switch code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity", "AuthFailure",
		"UnrecognizedClientException", "InvalidClientTokenId", "NotSignedUp", "XAdminUserNotFound":
		return verdict{Credentials, ReasonCredentialsRejected, "correct the credentials"}, true
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired":
		return verdict{Credentials, ReasonCredentialsExpired, "renew the credentials"}, true
	case "AccessDenied", "AllAccessDisabled", "AccountProblem":
		return verdict{Permission, ReasonPermissionDenied, "allow the request in the policy of the credentials or the bucket"}, true
	case "NoSuchBucket":
		return verdict{Missing, ReasonBucketNotFound, "create the bucket or correct its name"}, true
	case "NoSuchKey":
		return verdict{Missing, ReasonObjectNotFound, ""}, true
	case "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect",
		"TemporaryRedirect", "IncorrectEndpoint", "InvalidRegion":
		return verdict{Configuration, ReasonRegionMismatch, "set the bucket's own region and endpoint"}, true
	case "RequestTimeTooSkewed", "RequestInTheFuture":
		return verdict{Configuration, ReasonClockSkewed, "set this machine's clock"}, true
	case "InvalidObjectState":
		return verdict{Source, ReasonObjectFrozen, "it is in an archive storage class and must be thawed first, with the tools of the provider"}, true
	case "KeyTooLongError", "KeyTooLong":
		return verdict{Source, ReasonKeyTooLong, "shorten the path"}, true
	case "EntityTooLarge":
		return verdict{Source, ReasonTooLarge, "split the file"}, true
	case "InvalidStorageClass", "InvalidEncryptionAlgorithmError", "InvalidTag", "InvalidBucketName", "InvalidArgument",
		"InvalidRequest", "NotImplemented", "MethodNotAllowed", "MalformedXML", "InvalidBucketState", "QuotaExceeded",
		"UnsupportedArgument", "ServerSideEncryptionConfigurationNotFoundError":
		return verdict{Configuration, ReasonConfigurationRefused, "correct what the destination asks for"}, true
	default:
		return verdict{Configuration, ReasonConfigurationRefused, "check the encryption key"}, strings.HasPrefix(code, "KMS.")
	}
}

// byStatus judges answers whose code is absent, as from proxies and to HEAD, or unknown.
func byStatus(code string, status int) verdict {
	switch {
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return verdict{Throttled, ReasonThrottled, ""}
	case status == http.StatusInsufficientStorage:
		return verdict{Configuration, ReasonConfigurationRefused, "make room at the destination"}
	case status == http.StatusNotImplemented:
		return verdict{Configuration, ReasonConfigurationRefused, "correct what the destination asks for"}
	case status >= 500, status == http.StatusRequestTimeout:
		return verdict{Transient, ReasonServerError, ""}
	case status == http.StatusUnauthorized:
		return verdict{Credentials, ReasonCredentialsRejected, "correct the credentials"}
	case status == http.StatusForbidden:
		return verdict{Permission, ReasonPermissionDenied, "check the credentials and their policy"}
	case status == http.StatusProxyAuthRequired:
		return verdict{Configuration, ReasonEndpointUnreachable, "give the proxy a name and a password: HTTP_PROXY=http://NAME:PASSWORD@HOST:PORT"}
	case status >= 300 && status < 400:
		return verdict{Configuration, ReasonRegionMismatch, "set the bucket's own region and endpoint"}
	case status >= 400 && code == "":
		return verdict{Configuration, ReasonConfigurationRefused, "check that the endpoint speaks S3"}
	case status >= 400:
		return verdict{Source, ReasonObjectRefused, "the server takes no such object"}
	default:
		return verdict{Transient, ReasonServerError, ""}
	}
}

// statusOf returns the HTTP status of the answer, 0 when there was none.
func statusOf(err error) int {
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
	case errors.As(e.Err, &credentials):
		text = credentials.Error()
	case errors.As(e.Err, &api):
		text = api.ErrorCode()
		if m := api.ErrorMessage(); m != "" && m != text {
			text += ": " + m
		}
		if status := statusOf(e.Err); status != 0 {
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
