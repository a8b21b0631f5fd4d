// Package restore lists what a transfer has archived, restores it into a directory, and
// verifies it.
package restore
