package lab

import (
	"slices"
	"time"
)

// Plan is what a conditions file says: the conditions at the start, and how they change.
type Plan struct {
	// Seed makes the choice of the requests that faults strike repeatable: the nth attempt
	// at the same request meets the same fate in every run.
	Seed       uint64 `yaml:"seed"`
	Conditions `yaml:",inline"`
	// Schedule is in order of time.
	Schedule []Step `yaml:"schedule"`
}

// Step changes conditions while the lab serves.
type Step struct {
	// At counts from when the lab began to serve.
	At time.Duration `yaml:"at"`
	// Conditions that are named replace those in force; the others stay.
	Conditions `yaml:",inline"`
}

// Conditions of the path and of the server behind it. The zero value passes everything on.
type Conditions struct {
	// Partitions police requests. Of those that match a key, the first counts.
	Partitions []Partition `yaml:"partitions"`
	// ServiceTime is added before the answer to every request that is passed on.
	ServiceTime *ServiceTime `yaml:"serviceTime"`
	Bandwidth   *Bandwidth   `yaml:"bandwidth"`
	// Faults are tried in order; at most one strikes a request.
	Faults []Fault `yaml:"faults"`
	// Without names what the server shall seem to lack.
	Without []Feature `yaml:"without"`
	// ClockSkew is how far the server's clock is ahead of this machine's.
	ClockSkew *time.Duration `yaml:"clockSkew"`
	// ReadOnly names buckets that reject writes.
	ReadOnly []string `yaml:"readOnly"`
	Blackout Blackout `yaml:"blackout"`
}

// Partition limits requests per second by the beginning of their keys.
type Partition struct {
	// Keys is matched with the beginning of a key: * stands for any characters but a slash,
	// ? for one. Each text that it matches is a partition of its own. Empty matches all
	// keys, and requests for the bucket itself, as one partition.
	Keys string `yaml:"keys"`
	// RequestsPerSecond is what each partition serves; above it, 503 SlowDown.
	RequestsPerSecond float64 `yaml:"requestsPerSecond"`
	// Burst is how many requests may come at once. 0 means a tenth of a second's.
	Burst int `yaml:"burst"`
}

// ServiceTime is fixed, or lognormal when P99 is given.
type ServiceTime struct {
	Median time.Duration `yaml:"median"`
	P99    time.Duration `yaml:"p99"`
}

// Bandwidth limits each direction by itself, in 10^6 bits per second. 0 does not limit.
type Bandwidth struct {
	// SharedMegabits is what all connections have together.
	SharedMegabits float64 `yaml:"sharedMegabits"`
	// ConnectionMegabits is what each connection has.
	ConnectionMegabits float64 `yaml:"connectionMegabits"`
}

// Fault strikes a share of the requests.
type Fault struct {
	Kind FaultKind `yaml:"kind"`
	// Share of the requests, from 0 to 1.
	Share float64 `yaml:"share"`
	// Operations are S3 names such as UploadPart. Empty means all.
	Operations []string `yaml:"operations"`
	// Keys is a pattern as that of a Partition.
	Keys string `yaml:"keys"`
	// Most is how many requests it strikes in all. 0 means any number.
	Most int `yaml:"most"`
	// Skip is how many matching requests it lets pass before it begins.
	Skip int `yaml:"skip"`
	// Duration of SlowAnswer, and of NoAnswer, which then resets the connection.
	// 0 means 10 s.
	Duration time.Duration `yaml:"duration"`
}

// FaultKind is what goes wrong with a request.
type FaultKind string

// Kinds of faults. Bodies are cut or damaged at a random place.
const (
	// ResetRequest resets the connection while the body is being sent.
	ResetRequest FaultKind = "ResetRequest"
	// ResetAnswer lets the server do its work and resets the connection before the answer.
	ResetAnswer FaultKind = "ResetAnswer"
	// TruncateAnswer ends the connection in the midst of the answer's body.
	TruncateAnswer FaultKind = "TruncateAnswer"
	// InternalError answers 500 before the body is read.
	InternalError FaultKind = "InternalError"
	// LateInternalError lets the server do its work and answers 500.
	LateInternalError FaultKind = "LateInternalError"
	// SlowDown answers 503 before the body is read.
	SlowDown FaultKind = "SlowDown"
	// NoAnswer takes the request and never answers.
	NoAnswer FaultKind = "NoAnswer"
	// SlowAnswer waits for the fault's duration before each 32 KiB of the answer.
	SlowAnswer FaultKind = "SlowAnswer"
	// DamageRequest changes a byte of the request's body.
	DamageRequest FaultKind = "DamageRequest"
	// DamageAnswer changes a byte of the answer's body.
	DamageAnswer FaultKind = "DamageAnswer"
	// ExpiredToken answers 400 ExpiredToken.
	ExpiredToken FaultKind = "ExpiredToken"
)

func faultKinds() []FaultKind {
	return []FaultKind{
		ResetRequest, ResetAnswer, TruncateAnswer, InternalError, LateInternalError, SlowDown,
		NoAnswer, SlowAnswer, DamageRequest, DamageAnswer, ExpiredToken,
	}
}

// Feature is something that not every S3 server has.
type Feature string

// Features that a server may lack.
const (
	// CRC64NVME: requests that name this checksum are answered with 400 InvalidRequest.
	CRC64NVME Feature = "CRC64NVME"
	// Trailers: requests with a trailing checksum are answered with 501 NotImplemented.
	Trailers Feature = "Trailers"
	// ConditionalWrites: writes with If-Match or If-None-Match are answered with 501.
	ConditionalWrites Feature = "ConditionalWrites"
	// ListParts is answered with 501.
	ListParts Feature = "ListParts"
	// MD5ETags: ETags of objects are no digests. Those of parts stay as they are, since
	// the client repeats them under a signature.
	MD5ETags Feature = "MD5ETags"
)

func features() []Feature {
	return []Feature{CRC64NVME, Trailers, ConditionalWrites, ListParts, MD5ETags}
}

// Blackout is a time in which the server cannot be reached.
type Blackout string

// Kinds of blackouts.
const (
	// NoBlackout ends a blackout.
	NoBlackout Blackout = "None"
	// Reset resets connections.
	Reset Blackout = "Reset"
	// Silent keeps connections and answers nothing until the blackout ends, and then
	// resets those that waited.
	Silent Blackout = "Silent"
)

// changed returns the conditions after a step.
func (c Conditions) changed(by Conditions) Conditions {
	if by.Partitions != nil {
		c.Partitions = by.Partitions
	}
	if by.ServiceTime != nil {
		c.ServiceTime = by.ServiceTime
	}
	if by.Bandwidth != nil {
		c.Bandwidth = by.Bandwidth
	}
	if by.Faults != nil {
		c.Faults = by.Faults
	}
	if by.Without != nil {
		c.Without = by.Without
	}
	if by.ClockSkew != nil {
		c.ClockSkew = by.ClockSkew
	}
	if by.ReadOnly != nil {
		c.ReadOnly = by.ReadOnly
	}
	if by.Blackout != "" {
		c.Blackout = by.Blackout
	}
	return c
}

func (c Conditions) lacks(f Feature) bool { return slices.Contains(c.Without, f) }

func (c Conditions) skew() time.Duration {
	if c.ClockSkew == nil {
		return 0
	}
	return *c.ClockSkew
}
