// Command controlplane makes sure that the programs of a control plane exist on
// this machine and prints the directory that holds them.
package main
