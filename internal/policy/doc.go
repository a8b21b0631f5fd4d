// Package policy says which of an administrator's policies governs a destination, and which of
// its limits are in force at a time and until when. It is pure: time is an argument.
package policy
