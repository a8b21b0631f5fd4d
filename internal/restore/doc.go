// Package restore reads what a transfer has archived: it lists it, brings it back
// into a directory, and verifies that it stands.
package restore
