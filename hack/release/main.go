package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "release",
		Short:         "Make a release: images, chart, binaries, manifests, bills of materials, checksums, signatures",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := newPlan(cmd.Context(), o)
			if err != nil {
				return err
			}
			return run(cmd.Context(), p)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.source, "source", ".", "top of the repository")
	f.StringVar(&o.out, "out", "", "directory to make, which must not exist (required)")
	f.StringVar(&o.version, "version", "", "version of the release, such as 1.2.3; the chart's by default")
	f.StringVar(&o.registry, "registry", "", "registry and path to push to, such as registry.example.com/cargoship; none by default")
	f.StringVar(&o.key, "key", "", "private key to sign with, as cosign generate-key-pair makes it; its password is in COSIGN_PASSWORD")
	f.StringVar(&o.base, "base", "", "base image by digest, such as gcr.io/distroless/static@sha256:...; one made here by default")
	f.StringVar(&o.downloads, "downloads", "", "URL below which the archives will be published, for the krew manifest")
	f.StringVar(&o.platforms, "platforms", allPlatforms, "platforms of the command line; those of Linux are also those of the images")
	f.StringVar(&o.tools, "tools", "bin/tools", "directory of helm and kustomize")
	return cmd
}
