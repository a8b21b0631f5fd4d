// Command etcd is the etcd server, built from its Go module for machines where
// no prebuilt binary can be fetched.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
