package main

import (
	"context"
	"encoding/json"
	"os"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// plan lists a tree as the planning worker of a transfer does.
func plan(ctx context.Context, o options) error {
	source, err := archive.OpenSource(o.dir, "")
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	client, err := s3.NewClient(ctx, s3.Options{Bucket: bucket, Endpoint: o.planFor, PathStyle: true})
	if err != nil {
		return err
	}
	defer client.Close()
	planner := archive.Planner{Source: source, Store: client, Layout: archive.Layout{
		Base: "plan", Pattern: archive.Hash, UID: "scale", Tar: &archive.Tar{
			Name: "tree", TargetSize: archive.DefaultTargetSize, LargeFile: archive.DefaultTarLargeFile,
			Compression: archive.Zstd, Level: archive.DefaultLevel,
		},
	}}
	done, err := planner.Run(ctx, func(archive.Plan) {})
	if err != nil {
		return err
	}
	var files, archives int64
	for _, p := range done.Prefixes {
		files += p.Files
		archives += p.Archives
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]int64{"files": files, "archives": archives})
}
