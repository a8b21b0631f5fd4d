// Package coordination decides, from the reports of the workers, how many requests each may
// have in flight, how fast it may start them and which archives it sends. It is a pure
// control core: time and randomness come from its caller.
package coordination
