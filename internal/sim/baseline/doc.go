// Package baseline holds published ways to limit a client that uploads, each
// alone with its own requests: what the coordinator has to beat.
package baseline
