// Package tutorial follows docs/tutorial.md as a newcomer would.
package tutorial
