// Package product runs CargoShip, as config/default installs it, on a local cluster,
// and compares what it archived with the source.
package product
