package product

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

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

// bookkeeping is the directory under the base prefix that holds no data.
const bookkeeping = ".cargoship/"

// Location is a place in the S3 server.
type Location struct {
	Bucket, Prefix string
	// Shared says that what stands in the bucket under other prefixes is others'.
	Shared bool
}

// base is the prefix with its slash, or nothing.
func (l Location) base() string {
	if l.Prefix == "" {
		return ""
	}
	return strings.TrimSuffix(l.Prefix, "/") + "/"
}

// Tally is what was verified.
type Tally struct {
	Files int
	Bytes int64
}

// Verify compares a directory and a place in a bucket in both directions, with an
// S3 client that shares no code with the uploader: every file stands, with the
// same SHA-256; no other object does, unless the bucket is shared; no upload is open in the bucket.
func (s Site) Verify(ctx context.Context, dir string, to Location) (Tally, error) {
	files, err := sourceFiles(dir)
	if err != nil {
		return Tally{}, fmt.Errorf("list the source: %w", err)
	}
	store, err := s.Store.Client()
	if err != nil {
		return Tally{}, err
	}
	objects, err := listObjects(ctx, store, to)
	if err != nil {
		return Tally{}, err
	}
	if err := sameNames(files, objects); err != nil {
		return Tally{}, err
	}
	if err := noOpenUploads(ctx, store, to.Bucket); err != nil {
		return Tally{}, err
	}
	return compare(ctx, store, to, dir, files)
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
func listObjects(ctx context.Context, store *minio.Client, from Location) (map[string]int64, error) {
	objects, base := map[string]int64{}, from.base()
	options := minio.ListObjectsOptions{Recursive: true}
	if from.Shared {
		options.Prefix = base
	}
	for object := range store.ListObjectsIter(ctx, from.Bucket, options) {
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

func noOpenUploads(ctx context.Context, store *minio.Client, bucket string) error {
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
func compare(ctx context.Context, store *minio.Client, to Location, dir string, files map[string]int64) (Tally, error) {
	total := Tally{Files: len(files)}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * runtime.NumCPU())
	for name, size := range files {
		total.Bytes += size
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			want, err := fileDigest(filepath.Join(dir, filepath.FromSlash(name)))
			if err != nil {
				return fmt.Errorf("read the source: %w", err)
			}
			got, err := objectDigest(ctx, store, to.Bucket, to.base()+name)
			if err != nil {
				return fmt.Errorf("read the object %q back: %w", to.base()+name, err)
			}
			if got != want {
				return fmt.Errorf("the object %q differs from its file", to.base()+name)
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

func objectDigest(ctx context.Context, store *minio.Client, bucket, key string) ([sha256.Size]byte, error) {
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
