// Command s3lab serves the conditions of a path to S3 in front of any S3 server, or of
// one that only counts.
package main
