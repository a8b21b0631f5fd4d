// Package objects is what the controllers share of the objects in the API: their names,
// labels and marks, how each controller writes its own part of them, and what of them is
// kept in memory.
package objects
