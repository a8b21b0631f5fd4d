package restore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// hollow makes a file of a size that holds data at some places only.
func hollow(tb testing.TB, p string, size int64, at ...int64) {
	tb.Helper()
	f, err := os.Create(p)
	if err != nil {
		tb.Fatal(err)
	}
	for _, off := range at {
		if _, err := f.WriteAt([]byte("data"), off); err != nil {
			tb.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		tb.Fatal(err)
	}
}

// wantHollow fails unless a file has the size, data at the places, and takes no more space than that.
func wantHollow(tb testing.TB, p string, size int64, at ...int64) {
	tb.Helper()
	f, err := os.Open(p)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	if taken := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != size || taken > 1<<20 {
		tb.Errorf("%s has %d bytes and takes %d, want %d", p, info.Size(), taken, size)
	}
	for _, off := range at {
		piece := make([]byte, 4)
		if _, err := f.ReadAt(piece, off); err != nil || string(piece) != "data" {
			tb.Errorf("%s has %q at %d, %v", p, piece, off, err)
		}
	}
}

func TestSparseFileTakesAsLongAsItsData(t *testing.T) {
	const size, middle = 1 << 40, 1<<39 + 12345
	for _, c := range []archive.Tar{zstd(), {Name: "data", TargetSize: 16 << 20, LargeFile: 12 << 20, Compression: archive.Plain}} {
		t.Run(string(c.Compression), func(t *testing.T) {
			dir, target := t.TempDir(), t.TempDir()
			hollow(t, filepath.Join(dir, "lastlog"), size, 0, middle, size-4)
			hollow(t, filepath.Join(dir, "empty"), size)
			write(t, dir, "other", 1000)
			begun := time.Now()
			b := archived(t, dir, c)
			s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: target})
			if err != nil || s.Files != 3 || s.Failed != 0 {
				t.Fatalf("%+v, %v", s, err)
			}
			v, err := restore.Verify(t.Context(), restore.VerifyOptions{Catalog: catalog(t, b), ReadBack: true})
			if err != nil || v.Files != 3 || v.Wrong != 0 {
				t.Fatalf("%+v, %v", v, err)
			}
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			wantHollow(t, filepath.Join(target, "lastlog"), size, 0, middle, size-4)
			wantHollow(t, filepath.Join(target, "empty"), size)
		})
	}
}

// old has a manifest say the digest of a sparse file as it was said before there were schemes.
func (b *bucket) old(t *testing.T, digest string) {
	t.Helper()
	for key, body := range b.objects {
		m, err := archive.DecodeManifest(body)
		if err != nil {
			continue
		}
		for i := range m.Members {
			if place := m.Members[i].Tar; place != nil && place.Sparse {
				place.Digest = archive.ContentDigest{Algorithm: archive.DigestSHA256, Value: digest}
			}
		}
		if b.objects[key], err = m.Encode(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDigestOfWholeContentIsStillChecked(t *testing.T) {
	const size = 20 << 20
	dir := t.TempDir()
	hollow(t, filepath.Join(dir, "file"), size, 1<<20)
	content, err := os.ReadFile(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	right := fmt.Sprintf("%x", sha256.Sum256(content))
	for digest, failed := range map[string]int64{right: 0, right[1:] + "0": 1} {
		b := archived(t, dir, zstd())
		b.old(t, digest)
		s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: t.TempDir()})
		if err != nil || s.Failed != failed {
			t.Errorf("restored: %+v, %v, want %d failed", s, err, failed)
		}
		v, err := restore.Verify(t.Context(), restore.VerifyOptions{Catalog: catalog(t, b), ReadBack: true})
		if err != nil || v.Wrong != failed {
			t.Errorf("verified: %+v, %v, want %d wrong", v, err, failed)
		}
	}
}

// TestDamageWithinExtentsIsFound moves data to another place, and changes a byte of it.
func TestDamageWithinExtentsIsFound(t *testing.T) {
	for name, damage := range map[string]func(tar []byte, at int){
		"a byte":     func(tar []byte, at int) { tar[at]++ },
		"the extent": func(tar []byte, at int) { tar[at-512+2] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			hollow(t, filepath.Join(dir, "file"), 20<<20, 1<<20)
			c := zstd()
			c.Compression, c.Level = archive.Plain, 0
			b := archived(t, dir, c)
			m := manifest(t, b)
			damage(b.objects[m.Object.Key], int(m.Members[0].Tar.Data))
			s, err := restore.Run(t.Context(), restore.Options{Catalog: catalog(t, b), Dir: t.TempDir()})
			if err != nil || s.Failed != 1 {
				t.Errorf("%+v, %v: not noticed", s, err)
			}
		})
	}
}

// TestRestoreEndsWithItsContext restores what takes minutes: an old digest of a terabyte of zeros.
func TestRestoreEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	hollow(t, filepath.Join(dir, "lastlog"), 1<<42, 0)
	b := archived(t, dir, zstd())
	b.old(t, "00")
	for name, run := range map[string]func(ctx context.Context) error{
		"restore": func(ctx context.Context) error {
			_, err := restore.Run(ctx, restore.Options{Catalog: catalog(t, b), Dir: t.TempDir()})
			return err
		},
		"verify": func(ctx context.Context) error {
			_, err := restore.Verify(ctx, restore.VerifyOptions{Catalog: catalog(t, b), ReadBack: true})
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		begun := time.Now()
		err := run(ctx)
		cancel()
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > 10*time.Second {
			t.Errorf("%s ended after %v with %v", name, took, err)
		}
	}
}

// manifest is the only one in the bucket.
func manifest(t *testing.T, b *bucket) archive.Manifest {
	t.Helper()
	for m, err := range catalog(t, b).Manifests(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	t.Fatal("no manifest")
	return archive.Manifest{}
}
