// Package ui serves a page on loopback that shows transfers and restores, how they are doing
// and how they got there. It only reads: what it shows is what its Source finds in a cluster,
// with the rights of whoever started it.
//
// Data flows one way. A Source looks; Memory takes the look in, samples figures into a Track
// for each run and notes what has changed; a feed tells pages what is new. Memory and Track
// are plain values, without clocks or goroutines.
package ui
