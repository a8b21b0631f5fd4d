// Command cluster starts and stops a real Kubernetes cluster on this machine, for
// trying CargoShip and for its end-to-end tests.
package main
