// Command benchtransfer measures cargoship copy against other S3 clients, plain and through
// the lab, and writes the tables of docs/benchmarks/transfer.md.
package main
