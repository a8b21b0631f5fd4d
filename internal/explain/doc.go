// Package explain finds what limits a transfer now, from its objects in the cluster, and
// what to do about it. Its functions are pure and shared by the coordinator and the command
// line, so both give the same answer.
package explain
