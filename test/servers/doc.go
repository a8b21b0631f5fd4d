// Package servers holds the tests of what CargoShip does on S3 servers of many makes, each
// built at a pinned version and started by the test; see docs/servers.md.
package servers
