// Package sandbox runs a whole Kubernetes cluster of several nodes in namespaces of
// this machine, apart from its network, mounts and processes.
package sandbox
