// Package copy moves one directory to a bucket from a single process, under the
// same coordinator and the same worker engine that a cluster's workers have.
package copy
