// Package lifecycle reconciles one ArchiveTransfer or ArchiveRestore: it gathers the state,
// decides the next action, acts, and writes the status.
package lifecycle
