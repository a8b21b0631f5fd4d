package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/api/v1alpha1"
)

// bookkeeping is the directory under the base prefix that holds no data.
const bookkeeping = ".cargoship/"

// tally is what was verified.
type tally struct {
	files int
	bytes int64
}

// line is the last line of the demo.
func (t tally) line(took time.Duration) string {
	return fmt.Sprintf("demo: %d files, %d bytes verified in %.0f s", t.files, t.bytes, took.Seconds())
}

// verify compares source and bucket in both directions, with an S3 client that
// shares no code with the uploader: every file stands, with the same SHA-256; no
// other object does; no upload is open.
func (s *stage) verify(ctx context.Context) (tally, error) {
	transfer := &v1alpha1.ArchiveTransfer{}
	if err := s.client.Get(ctx, s.key, transfer); err != nil {
		return tally{}, fmt.Errorf("look at the transfer: %w", err)
	}
	base := strings.TrimSuffix(transfer.Spec.Destination.Prefix, "/") + "/"
	files, err := sourceFiles(s.data)
	if err != nil {
		return tally{}, fmt.Errorf("list the source: %w", err)
	}
	store, err := s.s3.Client()
	if err != nil {
		return tally{}, err
	}
	objects, err := listObjects(ctx, store, base)
	if err != nil {
		return tally{}, err
	}
	if err := sameNames(files, objects); err != nil {
		return tally{}, err
	}
	if err := noOpenUploads(ctx, store); err != nil {
		return tally{}, err
	}
	say("reading %d objects back", len(objects))
	return compare(ctx, store, base, s.data, files)
}

// sourceFiles lists, relative to a directory, what should be archived: regular
// files, and links that lead to one inside of it. The size is that of the content.
func sourceFiles(dir string) (map[string]int64, error) {
	files := map[string]int64{}
	top, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	return files, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			target, err := filepath.EvalSymlinks(path)
			if err != nil || !strings.HasPrefix(target, top+string(filepath.Separator)) {
				return nil // leads nowhere, or out
			}
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		files[filepath.ToSlash(relative)] = info.Size()
		return err
	})
}

// listObjects lists keys relative to the base prefix, without bookkeeping.
func listObjects(ctx context.Context, store *minio.Client, base string) (map[string]int64, error) {
	objects := map[string]int64{}
	for object := range store.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return nil, fmt.Errorf("list the bucket: %w", object.Err)
		}
		name, inside := strings.CutPrefix(object.Key, base)
		if !inside {
			return nil, fmt.Errorf("object %q stands outside of the prefix %q", object.Key, base)
		}
		if !strings.HasPrefix(name, bookkeeping) {
			objects[name] = object.Size
		}
	}
	return objects, nil
}

// sameNames tells the first differences between source and bucket.
func sameNames(files, objects map[string]int64) error {
	const most = 5
	var wrong []string
	for name, size := range files {
		if got, ok := objects[name]; !ok {
			wrong = append(wrong, fmt.Sprintf("%q is missing", name))
		} else if got != size {
			wrong = append(wrong, fmt.Sprintf("%q has %d bytes in place of %d", name, got, size))
		}
	}
	for name := range objects {
		if _, ok := files[name]; !ok {
			wrong = append(wrong, fmt.Sprintf("%q is no file of the source", name))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("the bucket differs from the source in %d places: %s",
		len(wrong), strings.Join(wrong[:min(most, len(wrong))], "; "))
}

func noOpenUploads(ctx context.Context, store *minio.Client) error {
	var open []string
	for upload := range store.ListIncompleteUploads(ctx, bucket, "", true) {
		if upload.Err != nil {
			return fmt.Errorf("list open uploads: %w", upload.Err)
		}
		open = append(open, upload.Key)
	}
	if len(open) > 0 {
		return fmt.Errorf("%d uploads are still open, the first one of %q", len(open), open[0])
	}
	return nil
}

// compare reads every object and its file.
func compare(ctx context.Context, store *minio.Client, base, dir string, files map[string]int64) (tally, error) {
	total := tally{files: len(files)}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * runtime.NumCPU())
	for name, size := range files {
		total.bytes += size
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			want, err := fileDigest(filepath.Join(dir, filepath.FromSlash(name)))
			if err != nil {
				return fmt.Errorf("read the source: %w", err)
			}
			got, err := objectDigest(ctx, store, base+name)
			if err != nil {
				return fmt.Errorf("read the object %q back: %w", base+name, err)
			}
			if got != want {
				return fmt.Errorf("the object %q differs from its file", base+name)
			}
			return nil
		})
	}
	return total, group.Wait()
}

func fileDigest(path string) ([sha256.Size]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	defer func() { _ = file.Close() }()
	return digest(file)
}

func objectDigest(ctx context.Context, store *minio.Client, key string) ([sha256.Size]byte, error) {
	object, err := store.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	defer func() { _ = object.Close() }()
	return digest(object)
}

func digest(r io.Reader) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
