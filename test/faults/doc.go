// Package faults proves that what goes wrong on the way, at the server or at the source
// changes nothing in what cargoship copy delivers.
package faults
