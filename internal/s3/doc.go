// Package s3 talks to one bucket of an S3-compatible server, and has the server verify a
// checksum of every byte. It classifies errors and remembers what it has learned about the
// server; when requests may start is up to its callers.
package s3
