// Package integration holds the tests that run the whole product on this machine:
// a control plane, a node that runs worker pods as processes, an S3 server and
// the manager.
package integration
