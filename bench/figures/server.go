package figures

import (
	"context"
	"errors"
	"os"

	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/assets"
)

// StartS3 starts a real S3 server that keeps its objects below a directory, with an empty bucket.
func StartS3(ctx context.Context, dir, bucket string) (*kit.S3, error) {
	programs, err := assets.Ensure(ctx, assets.Options{Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	server, err := kit.StartS3(ctx, kit.Options{Dir: dir, Assets: programs})
	if err != nil {
		return nil, err
	}
	store, err := server.Client()
	if err == nil {
		err = store.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
	}
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return server, nil
}
