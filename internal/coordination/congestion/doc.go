// Package congestion finds and follows the capacity of one destination: from the signals
// of rounds it makes a model of the path, a window over all prefixes, and a rate for each
// group of prefixes that share fate. It knows prefixes by name and by what was told of
// them, and nothing of transfers, workers, leases or archives.
package congestion
