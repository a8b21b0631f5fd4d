// Package transfer sends files to an S3-compatible bucket within granted
// windows and rates, and lets the server verify a checksum of every byte.
package transfer
