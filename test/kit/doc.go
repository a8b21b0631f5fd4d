// Package kit runs a real Kubernetes control plane and a real S3 server
// as supervised processes of this machine, for tests and for the demo.
package kit
