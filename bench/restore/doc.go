// Command benchrestore measures cargoship restore against other S3 clients and tar, and writes
// the tables of docs/benchmarks/restore.md.
package main
