// Package loopback reserves ports of the loopback interface for programs that are told
// where to listen.
package loopback
