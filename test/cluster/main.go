package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/test/cluster/sandbox"
	"cargoship.dev/operator/test/kit/assets"
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
		disturbance(dir, "kill PROCESS", "Kill a process of the cluster, which is started again", 1,
			func(ctx context.Context, s *sandbox.State, args []string) error { return s.Kill(ctx, args[0]) }),
		disturbance(dir, "stop PROCESS", "Kill a process of the cluster, which stays dead", 1,
			func(ctx context.Context, s *sandbox.State, args []string) error { return s.Stop(ctx, args[0]) }),
		disturbance(dir, "start PROCESS", "Start a process of the cluster that was stopped", 1,
			func(_ context.Context, s *sandbox.State, args []string) error { return s.Start(args[0]) }),
		disturbance(dir, "partition NODE api|s3", "Drop all packets between a node and the API server or the S3 server", 2,
			func(ctx context.Context, s *sandbox.State, args []string) error {
				return s.Partition(ctx, args[0], args[1])
			}),
		disturbance(dir, "fill NODE", "Fill the disk that a node keeps pods and logs on", 1,
			func(_ context.Context, s *sandbox.State, args []string) error { return s.Fill(args[0]) }),
		disturbance(dir, "heal", "Start what was stopped, end every partition and free every disk", 0,
			func(ctx context.Context, s *sandbox.State, _ []string) error { return s.HealAll(ctx) }),
		&cobra.Command{Use: sandbox.KeepCommand, Hidden: true, DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, args []string) error { return sandbox.Keep(cmd.Context(), args) }},
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
		Use: "load", Short: "Import images of bin/manager, bin/worker and bin/cargoship on every node", Args: cobra.NoArgs,
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

// disturbance is a command that does something to a running cluster.
func disturbance(dir *string, use, short string, arguments int, do func(context.Context, *sandbox.State, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(arguments),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, run, err := places(*dir)
			if err != nil {
				return err
			}
			state, err := sandbox.Open(run)
			if err != nil {
				return err
			}
			return do(cmd.Context(), state, args)
		},
	}
}

func shapeCommand(dir *string) *cobra.Command {
	cmd := disturbance(dir, "shape NODE [RATE]", "Limit what a node sends, to a rate such as 100mbit; without a rate, end the limit", 1,
		func(ctx context.Context, s *sandbox.State, args []string) error {
			return s.Shape(ctx, args[0], append(args, "")[1])
		})
	cmd.Args = cobra.RangeArgs(1, 2)
	return cmd
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
