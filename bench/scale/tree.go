package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"
)

const (
	// perDirectory is how many files a directory holds, and how many of those share one above it.
	perDirectory, perBranch = 1000, 100
	// contentEvery: of so many files one has content, so that ten million of them find room.
	contentEvery = 100
)

// directory returns the path of the one that holds a file, relative to the tree.
func directory(file int) string {
	n := file / perDirectory
	return filepath.Join(fmt.Sprintf("d%03d", n/perBranch), fmt.Sprintf("e%02d", n%perBranch))
}

// path returns that of a file, relative to the tree.
func path(file int) string { return filepath.Join(directory(file), fmt.Sprintf("f%07d", file)) }

// one is the file that is restored: it has content, and is far from both ends.
func (s *stage) one() int { return s.files / 3 / contentEvery * contentEvery }

// makeTree makes the files, whose content does not compress.
func (s *stage) makeTree(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for first := 0; first < s.files; first += perDirectory {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return s.makeDirectory(first)
		})
	}
	return group.Wait()
}

// makeDirectory makes the files from one on that share its directory.
func (s *stage) makeDirectory(first int) error {
	if err := os.MkdirAll(filepath.Join(s.tree(), directory(first)), 0o755); err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{byte(first), byte(first >> 8), byte(first >> 16)})
	content := make([]byte, s.size)
	for i := first; i < min(first+perDirectory, s.files); i++ {
		var it []byte
		if i%contentEvery == 0 {
			_, _ = random.Read(content)
			it = content
		}
		if err := os.WriteFile(filepath.Join(s.tree(), path(i)), it, 0o644); err != nil {
			return err
		}
	}
	return nil
}
