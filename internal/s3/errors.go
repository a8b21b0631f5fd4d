package s3

import (
	"context"
	"errors"
	"fmt"
)

// Class says what kind of trouble an Error is, and so what to do about it.
type Class string

const (
	// Throttled: the destination answers 503; send slower.
	Throttled Class = "Throttled"
	// Transient: another attempt may succeed.
	Transient Class = "Transient"
	// Credentials: missing, malformed, expired or rejected.
	Credentials Class = "Credentials"
	// Permission: the credentials are good and the request is not allowed.
	Permission Class = "Permission"
	// Missing: the bucket, or an object that was asked for, does not exist.
	Missing Class = "Missing"
	// Integrity: what arrived is not what was sent.
	Integrity Class = "Integrity"
	// Source: this file cannot be sent; others can.
	Source Class = "Source"
	// Configuration: the destination as configured cannot be reached or rejects
	// what was configured.
	Configuration Class = "Configuration"
)

// Blocks reports whether nothing else will succeed either until somebody fixes
// a thing outside.
func (c Class) Blocks() bool {
	switch c {
	case Credentials, Permission, Missing, Configuration:
		return true
	default:
		return false
	}
}

// Retryable reports whether the same request may succeed a little later.
func (c Class) Retryable() bool {
	switch c {
	case Throttled, Transient, Integrity:
		return true
	default:
		return false
	}
}

// Reasons of errors, in the vocabulary of API conditions. A Source error carries
// the reason its source gives, if any; a rejection without a better word carries
// the server's own code.
const (
	ReasonThrottled             = "Throttled"
	ReasonKMSThrottled          = "KMSThrottled"
	ReasonTimeout               = "Timeout"
	ReasonConnectionLost        = "ConnectionLost"
	ReasonServerError           = "ServerError"
	ReasonCanceled              = "Canceled"
	ReasonUploadVanished        = "UploadVanished"
	ReasonCredentialsMissing    = "CredentialsMissing"
	ReasonCredentialsRejected   = "CredentialsRejected"
	ReasonCredentialsExpired    = "CredentialsExpired"
	ReasonPermissionDenied      = "PermissionDenied"
	ReasonBucketNotFound        = "BucketNotFound"
	ReasonObjectNotFound        = "ObjectNotFound"
	ReasonObjectReplaced        = "ObjectReplaced"
	ReasonObjectFrozen          = "ObjectFrozen"
	ReasonThawUnavailable       = "ThawUnavailable"
	ReasonChecksumMismatch      = "ChecksumMismatch"
	ReasonChecksumUnsupported   = "ChecksumUnsupported"
	ReasonRegionMismatch        = "RegionMismatch"
	ReasonEndpointUnreachable   = "EndpointUnreachable"
	ReasonEndpointInvalid       = "EndpointInvalid"
	ReasonCABundleInvalid       = "CABundleInvalid"
	ReasonCertificateNotTrusted = "CertificateNotTrusted"
	ReasonClockSkewed           = "ClockSkewed"
	ReasonConfigurationRejected = "ConfigurationRejected"
	ReasonTooManyOpenFiles      = "TooManyOpenFiles"
	ReasonUnreadable            = "Unreadable"
	ReasonChanged               = "Changed"
	ReasonTooLarge              = "TooLarge"
	ReasonKeyTooLong            = "KeyTooLong"
	ReasonNameNotUTF8           = "NameNotUTF8"
	ReasonListingBroken         = "ListingBroken"
	ReasonObjectRejected        = "ObjectRejected"
	ReasonObjectExists          = "ObjectExists"
	ReasonAnswerUnreadable      = "AnswerUnreadable"
	ReasonUploadConflict        = "UploadConflict"
)

// ErrNotFound is what errors.Is finds in the error of a Get whose object does
// not exist.
var ErrNotFound = errors.New("no such object")

// Error is the one kind of error this package returns.
type Error struct {
	Class Class
	// Reason is one CamelCase word, such as BucketNotFound.
	Reason string
	// Op is what was attempted, in a few words, such as "put object".
	Op string
	// Key is what it was attempted on: a key, or the bucket for bucket requests.
	Key string
	// LeftOpen is the multipart upload that could not be aborted, if any.
	LeftOpen *OpenUpload
	// Err is the cause. It may hold request IDs, never secrets or signatures.
	Err error

	// advice says what to do about it.
	advice string
	// final: another attempt at the same request will not help, whatever the class.
	final bool
	// common: it concerns every object, not the one.
	common bool
}

// Error returns one line: what was attempted, on what, what went wrong, what to do.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %q: %s", e.Op, e.Key, e.cause())
	if e.advice != "" {
		text += ": " + e.advice
	}
	if e.LeftOpen != nil {
		text += fmt.Sprintf("; multipart upload %s is left open: abort it", e.LeftOpen.UploadID)
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Blocks reports whether nothing else will succeed either until somebody fixes
// a thing outside. An object that does not exist blocks nothing.
func (e *Error) Blocks() bool {
	return e.Class.Blocks() && !errors.Is(e.Err, ErrNotFound)
}

// AboutObject reports whether the error of a request for one object says nothing about
// others: the server has answered, and has nothing against the bucket or the credentials.
func (e *Error) AboutObject() bool {
	switch e.Class {
	case Source, Integrity, Permission:
		return true
	case Missing:
		return e.Reason != ReasonBucketNotFound
	case Transient:
		return e.Reason == ReasonServerError
	case Configuration:
		return e.Reason == ReasonConfigurationRejected && Status(e.Err) != 0
	default:
		return false
	}
}

// retryable reports whether the same request may succeed a little later.
func (e *Error) retryable() bool {
	return e.Class.Retryable() && !e.final && e.Reason != ReasonUploadVanished
}

// ChangedError says that a file is not the planned one any more.
type ChangedError struct{ Text string }

func (e ChangedError) Error() string { return e.Text }

// Reason is the verdict on the file.
func (e ChangedError) Reason() string { return ReasonChanged }

// SourceError classifies an error of what is sent by the method Reason() string that it may
// have.
func SourceError(op, key string, err error) *Error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || scarce(err) {
		return Classify(op, key, err)
	}
	reason := ReasonUnreadable
	if given := (interface{ Reason() string })(nil); errors.As(err, &given) {
		reason = given.Reason()
	}
	return &Error{Class: Source, Reason: reason, Op: op, Key: key, Err: err}
}
