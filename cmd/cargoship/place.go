package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/kubectl"
	"cargoship.dev/operator/internal/s3"
)

// place is where archives are, as the first argument of a command names it.
type place struct {
	// arg stands for it in the help, otherwise for the run that is read if none is named.
	arg, otherwise string
	// find fills in how the bucket is reached, and returns the base prefix and the run, empty
	// for the latest.
	find     func(ctx context.Context, target string, d *s3.Options) (base, run string, err error)
	complete cobra.CompletionFunc
	// ended returns the transfer of the run, which must have ended; nil where there is none.
	ended func(ctx context.Context, target string) (*v1alpha1.ArchiveTransfer, error)
}

// inBucket is a place that a URL names.
func inBucket() place {
	return place{arg: "s3://BUCKET[/PREFIX]", otherwise: "the latest",
		find: func(_ context.Context, target string, d *s3.Options) (string, string, error) {
			base, err := completeTarget(target, d)
			if err != nil {
				return "", "", cli.UsageError{Err: err}
			}
			return base, "", nil
		}}
}

// inCluster is a place that a transfer of a cluster names, with location and credentials
// taken from the object.
func inCluster(cluster kubectl.Commands) place {
	return place{arg: "NAME", otherwise: "that of the transfer", complete: cluster.CompleteNames, ended: cluster.Ended,
		find: func(ctx context.Context, name string, d *s3.Options) (string, string, error) {
			source, err := cluster.Archive(ctx, name, d.CredentialsDir == "")
			if err != nil {
				return "", "", err
			}
			if source.Secret == nil && d.CredentialsDir == "" {
				_, _ = fmt.Fprintln(os.Stderr, "warning: the workers have the identity of their pods; your own AWS settings are used here")
			}
			reach(source, d)
			return strings.Trim(source.Location.Prefix, "/"), source.UID, fromHere(source, d)
		}}
}

// reach fills in what flags leave open.
func reach(a kubectl.Archive, d *s3.Options) {
	l := a.Location
	d.Bucket, d.Region, d.Endpoint = l.Bucket, cmp.Or(d.Region, l.Region), cmp.Or(d.Endpoint, l.Endpoint)
	if !d.StyleGiven {
		d.StyleGiven, d.PathStyle = true, l.AddressingStyle == v1alpha1.AddressingPath
	}
	if d.CredentialsDir == "" {
		d.Secret = a.Secret
	}
	// With keys of its own the bucket is reached as the workers do, whatever the user's profile says.
	d.Ambient = d.Secret == nil
	if d.CAFile == "" {
		d.CA = a.CA
	}
	d.Asked.RequesterPays = d.Asked.RequesterPays || l.RequestPayer == "Requester"
	d.Asked.ExpectedBucketOwner = cmp.Or(d.Asked.ExpectedBucketOwner, l.ExpectedBucketOwner)
}

// fromHere returns an error with advice if only the cluster can reach the server.
func fromHere(a kubectl.Archive, d *s3.Options) error {
	host := strings.SplitN(strings.TrimPrefix(strings.TrimPrefix(d.Endpoint, "https://"), "http://"), "/", 2)[0]
	host, _, _ = strings.Cut(host, ":")
	inside := strings.HasSuffix(host, ".svc") || strings.Contains(host, ".svc.")
	if d.Endpoint == a.Location.Endpoint && inside && os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return errors.New("the endpoint " + d.Endpoint + " is a service of the cluster: forward a port to it with kubectl port-forward, and name that with --endpoint-url")
	}
	return nil
}
