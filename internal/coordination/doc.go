// Package coordination decides, from what workers report, how many requests
// each may have in flight, how fast it may start them and which archives it
// sends: a pure control core, given time and randomness by its caller.
package coordination
