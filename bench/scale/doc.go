// Command benchscale measures how plan, packed copy, verification, a listing and the restore
// of one file grow with the number of files, against a real S3 server on this machine.
package main
