// Command juicefs is juicefs sync between a directory and S3, built from JuiceFS's Go
// module: the whole program needs cgo, the packages that do the work do not.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/juicedata/juicefs/pkg/object"
	"github.com/juicedata/juicefs/pkg/sync"
	"github.com/juicedata/juicefs/pkg/utils"
	"github.com/sirupsen/logrus"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "juicefs:", err)
		os.Exit(1)
	}
}

// run takes its arguments as the command does. What has no flag here is as it is there by default.
func run(arguments []string) error {
	if len(arguments) == 0 || arguments[0] != "sync" {
		return errors.New("want sync [--threads N] [--no-https] SRC/ DST/")
	}
	flags := flag.NewFlagSet("juicefs sync", flag.ContinueOnError)
	threads := flags.Int("threads", 10, "number of concurrent threads")
	noHTTPS := flags.Bool("no-https", false, "do not use HTTPS")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return fmt.Errorf("want SRC/ and DST/, got %q", flags.Args())
	}
	source, err := open(flags.Arg(0), *noHTTPS)
	if err != nil {
		return err
	}
	target, err := open(flags.Arg(1), *noHTTPS)
	if err != nil {
		return err
	}
	utils.SetLogLevel(logrus.WarnLevel)
	return sync.Sync(source, target, &sync.Config{
		Threads: *threads, ListThreads: 1, ListDepth: 1, Limit: -1, MaxFailure: -1, MaxSize: math.MaxInt64, Quiet: true,
	})
}

// open returns a directory, or what is at s3://HOST/BUCKET/PREFIX. Keys and region are those of the
// environment.
func open(at string, noHTTPS bool) (object.ObjectStorage, error) {
	path, remote := strings.CutPrefix(at, "s3://")
	if !remote {
		return object.CreateStorage("file", at, "", "", "")
	}
	parts := strings.SplitN(path, "/", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("want s3://HOST/BUCKET/PREFIX, got %s", at)
	}
	scheme := "https"
	if noHTTPS {
		scheme = "http"
	}
	store, err := object.CreateStorage("s3", scheme+"://"+parts[0]+"/"+parts[1], "", "", "")
	if err != nil {
		return nil, err
	}
	return object.WithPrefix(store, parts[2]), nil
}
