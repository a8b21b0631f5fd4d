// Command validation holds the simulator against real HTTP: it runs scenarios both in it and as
// `cargoship copy` through a lab that has the same conditions.
package main
