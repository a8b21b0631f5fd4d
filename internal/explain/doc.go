// Package explain says what limits a transfer now, from what its objects in the cluster
// show, and what to do about it. It reads nothing and asks nobody: the coordinator and the
// command line use the same functions, so that they give the same word.
package explain
