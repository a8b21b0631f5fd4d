// Package protocol holds what manager and worker tell each other, and what a leader
// leaves to the next: grants, reports, the names and numbers in them, the one order of
// grants, the bounds that hold whatever the configuration, and the one set of defaults.
// It decides nothing, and knows none of the packages beside it.
package protocol
