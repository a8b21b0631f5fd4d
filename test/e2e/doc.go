// Package e2e uses CargoShip, installed by its chart, on a real cluster with nodes.
//
// Its tests have the build tag e2e: make test-e2e runs them on the cluster that
// make cluster-up starts, make test-kueue the one with the label kueue, and
// make test-outages those with the label outage, which take half an hour.
package e2e
