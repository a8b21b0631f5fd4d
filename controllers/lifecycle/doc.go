// Package lifecycle reconciles one ArchiveTransfer: it gathers what there is, decides what
// is next, does it, and writes the status.
package lifecycle
