// Package coordinator has one congestion controller for each destination, or for all with one
// quota key: it adopts what earlier leaders have granted, collects the reports of the workers, records what has ended
// and writes the grants that changed.
package coordinator
