// Package sim runs the production control laws of manager and worker, and the
// baselines they are compared with, against a model of S3, in virtual time and
// from one seed.
package sim
