// Package config holds the manifests that install CargoShip, and the tests of them.
package config
