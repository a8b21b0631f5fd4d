// Package policy tells in the status of each CoordinationPolicy what of it is in force, until
// when, and what is wrong with it. The coordinator enforces it.
package policy
