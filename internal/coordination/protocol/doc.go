// Package protocol holds the types that manager and worker exchange, and those that a leader
// leaves to the next: grants and their order, reports, snapshots, IDs, the bounds that hold
// whatever the configuration, and the defaults. It decides nothing and imports none of the
// packages beside it.
package protocol
