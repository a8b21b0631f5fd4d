// Package archive walks a source, groups its files into numbered archives, keeps their
// inventory and manifests in the bucket, and opens the files again when a worker sends them.
package archive
