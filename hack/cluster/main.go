package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/hack/cluster/sandbox"
	"cargoship.dev/operator/hack/localcluster/assets"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use: "cluster", Short: "A Kubernetes cluster on this machine", SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	dir := root.PersistentFlags().String("dir", "", "run directory (bin/cluster.run of the repository)")
	root.AddCommand(upCommand(dir), downCommand(dir), loadCommand(dir), shapeCommand(dir),
		&cobra.Command{Use: sandbox.InitCommand, Hidden: true, Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return sandbox.Init() }},
		&cobra.Command{Use: sandbox.ServeCommand, Hidden: true, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return sandbox.Serve(cmd.Context()) }})
	return root
}

func upCommand(dir *string) *cobra.Command {
	nodes := 3
	cmd := &cobra.Command{
		Use: "up", Short: "Start the cluster, or find it running, and print its KUBECONFIG line", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			repository, run, err := places(*dir)
			if err != nil {
				return err
			}
			state, err := sandbox.Up(cmd.Context(), sandbox.Options{Root: repository, Dir: run, Nodes: nodes, Log: os.Stderr})
			if err != nil {
				return err
			}
			fmt.Printf("export KUBECONFIG=%s\n", state.Kubeconfig)
			return nil
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", nodes, "number of nodes, from 1 to 4")
	return cmd
}

func downCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Stop the cluster and clear what it left", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, run, err := places(*dir)
			if err != nil {
				return err
			}
			return sandbox.Down(cmd.Context(), run)
		},
	}
}

func loadCommand(dir *string) *cobra.Command {
	var tag string
	cmd := &cobra.Command{
		Use: "load", Short: "Import images of bin/manager and bin/worker on every node", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			repository, run, err := places(*dir)
			if err != nil {
				return err
			}
			state, err := sandbox.Open(run)
			if err != nil {
				return err
			}
			return state.Load(cmd.Context(), repository, tag)
		},
	}
	cmd.Flags().StringVar(&tag, "tag", "local", "tag of the images cargoship/manager and cargoship/worker")
	return cmd
}

func shapeCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "shape NODE [RATE]", Short: "Limit what a node sends, to a rate such as 100mbit; without a rate, end the limit",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, run, err := places(*dir)
			if err != nil {
				return err
			}
			state, err := sandbox.Open(run)
			if err != nil {
				return err
			}
			return state.Shape(cmd.Context(), args[0], append(args, "")[1])
		},
	}
}

// places are the repository and the run directory, absolute.
func places(dir string) (repository, run string, err error) {
	if repository, err = assets.RepositoryRoot(); err != nil {
		return "", "", err
	}
	if dir == "" {
		dir = filepath.Join(repository, "bin", "cluster.run")
	}
	run, err = filepath.Abs(dir)
	return repository, run, err
}
