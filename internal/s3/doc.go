// Package s3 speaks to one bucket of an S3-compatible server, and lets the server verify a
// checksum of every byte. It knows what errors mean and what has been learned about the
// server; when requests may start is up to its callers.
package s3
