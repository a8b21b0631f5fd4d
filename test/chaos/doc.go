// Package chaos breaks a cluster at random while CargoShip archives on it, heals it,
// and checks that nothing was lost, doubled or left over.
//
// Its test has the build tag e2e: make test-chaos runs it on the cluster that
// make cluster-up starts.
package chaos
