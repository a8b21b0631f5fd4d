//go:build !unix

package copy

// lockSource cannot tell whether another copy of the directory runs.
func lockSource(string) (alone bool, release func()) { return false, func() {} }
