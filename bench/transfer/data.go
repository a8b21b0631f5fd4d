package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// dataset is a directory of incompressible files.
type dataset struct {
	name  string
	about string
	files int
	// size of each file, in bytes.
	size int64
	// folder is how many files share a directory; 0 means all.
	folder int
}

func datasets() []dataset {
	return []dataset{
		{"big", "4 × 256 MiB", 4, 256 << 20, 0},
		{"medium", "512 × 1 MiB", 512, 1 << 20, 32},
		{"small", "10,000 × 2 KiB", 10_000, 2 << 10, 100},
	}
}

func (d dataset) bytes() int64 { return int64(d.files) * d.size }

// write makes the files under dir.
func (d dataset) write(dir string) error {
	for i := range d.files {
		folder := dir
		if d.folder > 0 {
			folder = filepath.Join(dir, fmt.Sprintf("d%03d", i/d.folder))
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("make data: %w", err)
		}
		if err := writeRandom(filepath.Join(folder, fmt.Sprintf("f%05d", i)), d.size, uint64(i)); err != nil {
			return fmt.Errorf("make data: %w", err)
		}
	}
	return nil
}

func writeRandom(path string, size int64, seed uint64) error {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(file, rand.NewChaCha8(key), size); err != nil {
		return err
	}
	return file.Close()
}
