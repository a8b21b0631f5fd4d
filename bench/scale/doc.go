// Command benchscale measures how plan, packed copy, verification and the restore of
// one file do with a tree of very many files, against a real S3 server on this machine.
package main
