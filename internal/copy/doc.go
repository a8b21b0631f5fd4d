// Package copy moves one directory to a bucket from a single process, with the coordinator
// and the worker engine of a cluster.
package copy
