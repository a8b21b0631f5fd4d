// Command demo runs the whole product on this machine: it archives a data set into
// a local S3 server through a local control plane and verifies every byte.
package main
