// Command versitygw is the S3 server of that name on a directory, with its defaults and the
// flags that are used here. Its own command has servers, tests and identity services beside
// that, which take longer to build than what is needed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// Defaults of its own command.
const (
	connections, requests = 250_000, 100_000
	parts                 = 10_000
	copyLimit             = 5 << 30 // bytes of an object that is copied in one request
	actions               = 5000    // calls of the file system at once
	bufferSize            = 1 << 20
	directoryMode         = 0o755
	fileMode              = 0o644
)

func main() {
	config := embedgw.Config{
		RootUserAccess: os.Getenv("ROOT_ACCESS_KEY"), RootUserSecret: os.Getenv("ROOT_SECRET_KEY"),
		MaxConnections: connections, MaxRequests: requests, MultipartMaxParts: parts,
		Ports: []string{""},
	}
	flag.StringVar(&config.Ports[0], "port", ":7070", "address to listen at")
	flag.StringVar(&config.Region, "region", "us-east-1", "region that requests are signed for")
	flag.StringVar(&config.HealthPath, "health", "", "path that tells whether it serves")
	flag.BoolVar(&config.KeepAlive, "keep-alive", false, "keep connections open")
	flag.BoolVar(&config.Quiet, "quiet", false, "print no line for each request")
	flag.StringVar(&config.CertFile, "cert", "", "file of the certificate to serve TLS with")
	flag.StringVar(&config.KeyFile, "key", "", "file of its private key")
	flag.Parse()
	if flag.NArg() != 2 || flag.Arg(0) != "posix" {
		fmt.Fprintln(os.Stderr, "versitygw: usage: versitygw [flags] posix DIR")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serve(ctx, &config, flag.Arg(1))
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "versitygw: %v\n", err)
		os.Exit(1)
	}
}

// serve serves the buckets of a directory, which must have extended attributes.
func serve(ctx context.Context, config *embedgw.Config, dir string) error {
	attributes := meta.XattrMeta{}
	if err := attributes.Test(dir); err != nil {
		return fmt.Errorf("try the extended attributes of %s: %w", dir, err)
	}
	options := posix.PosixOpts{Concurrency: actions, IOBufferSize: bufferSize, CopyObjectThreshold: copyLimit}
	options.SetNewDirPerm(directoryMode)
	options.SetNewFilePerm(fileMode)
	backend, err := posix.New(dir, attributes, options)
	if err != nil {
		return fmt.Errorf("serve %s: %w", dir, err)
	}
	return embedgw.RunVersityGW(ctx, backend, config)
}
