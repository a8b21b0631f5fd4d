package main

import "golang.org/x/sys/unix"

// inMemory tells that a directory is on a file system in memory.
func inMemory(dir string) bool {
	var about unix.Statfs_t
	return unix.Statfs(dir, &about) == nil && about.Type == unix.TMPFS_MAGIC
}
