// Command release makes a release of CargoShip: images, chart, binaries, manifests, bills of
// materials, checksums and signatures, in a directory and, where one is given, in a registry.
// The same source, version, registry and key give the same bytes. See docs/release.md.
package main
