package product

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/minio/minio-go/v7"
)

// member is what a tree, or the archives of one, hold at a path.
type member struct {
	mode fs.FileMode // the type and the permissions
	link string      // where a symbolic link leads
	size int64
	sum  [sha256.Size]byte
}

// VerifyPacked compares a directory and the archives of a place in a bucket in both
// directions, with programs that share no code with the packer: every file,
// directory and symbolic link is in an archive or an object, with the same SHA-256,
// mode or target; nothing else is; no upload is open in the bucket.
func (s Site) VerifyPacked(ctx context.Context, dir string, to Location) (Tally, error) {
	want, err := sourceMembers(dir)
	if err != nil {
		return Tally{}, fmt.Errorf("read the source: %w", err)
	}
	store, err := s.Store.Client()
	if err != nil {
		return Tally{}, err
	}
	objects, err := listObjects(ctx, store, to)
	if err != nil {
		return Tally{}, err
	}
	got := map[string]member{}
	for name := range objects {
		if err := readPacked(ctx, store, to, name, want, got); err != nil {
			return Tally{}, fmt.Errorf("read the object %q back: %w", to.base()+name, err)
		}
	}
	if err := sameMembers(want, got); err != nil {
		return Tally{}, err
	}
	total := Tally{Files: len(want)}
	for _, m := range want {
		total.Bytes += m.size
	}
	return total, noOpenUploads(ctx, store, to.Bucket)
}

// sourceMembers describes what is below a directory and can be archived.
func sourceMembers(dir string) (map[string]member, error) {
	all := map[string]member{}
	return all, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		m := member{mode: info.Mode()}
		switch m.mode.Type() {
		case 0:
			m.size = info.Size()
			m.sum, err = fileDigest(path)
		case fs.ModeSymlink:
			m.mode = fs.ModeSymlink
			m.link, err = os.Readlink(path)
		case fs.ModeDir:
		default:
			return nil
		}
		relative, _ := filepath.Rel(dir, path)
		all[filepath.ToSlash(relative)] = m
		return err
	})
}

// readPacked reads an archive, or a file that is an object of its own. Of that the
// object tells no mode that a tar would, so the mode wanted is taken for it.
func readPacked(ctx context.Context, store *minio.Client, to Location, name string, want, into map[string]member) error {
	object, err := store.GetObject(ctx, to.Bucket, to.base()+name, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	// The key is PREFIX/RUN/ARCHIVE or PREFIX/RUN/files/PATH.
	_, rest, _ := strings.Cut(name, "/")
	_, rest, _ = strings.Cut(rest, "/")
	if path, apart := strings.CutPrefix(rest, "files/"); apart {
		counted := &counter{Reader: object}
		sum, err := digest(counted)
		into[path] = member{mode: want[path].mode, size: counted.n, sum: sum}
		return err
	}
	if strings.HasSuffix(name, ".tar") {
		return readTar(object, into)
	}
	z, err := zstd.NewReader(object)
	if err != nil {
		return err
	}
	defer z.Close()
	return readTar(z, into)
}

type counter struct {
	io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// readTar takes in the members of a tar.
func readTar(raw io.Reader, into map[string]member) error {
	for r := tar.NewReader(raw); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(h.Name, "/")
		if _, twice := into[name]; twice {
			return fmt.Errorf("%q is archived twice", name)
		}
		m := member{mode: h.FileInfo().Mode()}
		switch h.Typeflag {
		case tar.TypeReg:
			m.size = h.Size
			m.sum, err = digest(r)
		case tar.TypeLink:
			m = into[h.Linkname]
		case tar.TypeSymlink:
			m.mode, m.link = fs.ModeSymlink, h.Linkname
		}
		if err != nil {
			return fmt.Errorf("member %q: %w", name, err)
		}
		into[name] = m
	}
}

// sameMembers tells the first differences between source and archives.
func sameMembers(want, got map[string]member) error {
	const most = 5
	var wrong []string
	for name, m := range want {
		if other, ok := got[name]; !ok {
			wrong = append(wrong, fmt.Sprintf("%q is missing", name))
		} else if other != m {
			wrong = append(wrong, fmt.Sprintf("%q is %v of %d bytes in place of %v of %d, or differs in content", name, other.mode, other.size, m.mode, m.size))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			wrong = append(wrong, fmt.Sprintf("%q is not in the source", name))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("the archives differ from the source in %d places: %s",
		len(wrong), strings.Join(wrong[:min(most, len(wrong))], "; "))
}
