package kit_test

import (
	"os"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/assets"
)

func TestS3KeepsObjectsOverACrash(t *testing.T) {
	dir, err := assets.Ensure(t.Context(), assets.Options{Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	server, err := kit.StartS3(t.Context(), kit.Options{Assets: dir, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := server.Client()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.MakeBucket(t.Context(), "archive", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	put := func() error {
		_, err := client.PutObject(t.Context(), "archive", "a/b", strings.NewReader("text"), 4, minio.PutObjectOptions{})
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.StatObject(t.Context(), "archive", "a/b", minio.StatObjectOptions{}); err == nil {
		t.Error("a killed server still answers")
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := client.StatObject(t.Context(), "archive", "a/b", minio.StatObjectOptions{})
	if err != nil || info.Size != 4 {
		t.Errorf("after the restart the object has %d bytes (error %v), want 4", info.Size, err)
	}
}
