package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// The generated data set: many small files of widely varied size in several
// directories, and a few large ones; about 1 GiB in all.
const (
	smallFiles    = 3000
	smallestFile  = 100       // bytes
	largestSmall  = 512 << 10 // bytes
	largeFiles    = 4
	largeFileSize = 200 << 20 // bytes
)

// planned is one file of the data set.
type planned struct {
	path string // relative, with slashes
	size int64  // bytes
}

// plan lists the data set. It is the same at every call.
func plan() []planned {
	random := rand.New(rand.NewPCG(1, 2))
	directories := []string{"genomes", "images", "instruments", "notebooks", "simulations", "texts"}
	files := []planned{
		{path: "README.txt", size: 4000},
		{path: "texts/empty.txt", size: 0},
		{path: "texts/a name with spaces.txt", size: 1234},
		{path: "texts/Übersicht – 概要.txt", size: 2345},
	}
	for i := range smallFiles {
		// Sizes are spread evenly over magnitudes, as in most real trees.
		magnitude := math.Log(largestSmall) - math.Log(smallestFile)
		size := int64(smallestFile * math.Exp(random.Float64()*magnitude))
		directory := directories[random.IntN(len(directories))]
		path := fmt.Sprintf("%s/%d/%02d/item-%04d.dat", directory, 2020+random.IntN(5), 1+random.IntN(12), i)
		files = append(files, planned{path: path, size: size})
	}
	for i := range largeFiles {
		path := fmt.Sprintf("%s/volume-%d.img", []string{"simulations", "images"}[i%2], i)
		files = append(files, planned{path: path, size: largeFileSize})
	}
	return files
}

// generate writes the data set under a directory.
func generate(ctx context.Context, dir string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for i, file := range plan() {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return write(filepath.Join(dir, filepath.FromSlash(file.path)), uint64(i), file.size)
		})
	}
	return group.Wait()
}

// write fills a file with the pseudo-random bytes of a seed.
func write(path string, seed uint64, size int64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	if _, err := io.Copy(file, io.LimitReader(rand.NewChaCha8(key), size)); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
