package main

import (
	"fmt"
	"os"
	"path/filepath"
)

const (
	// filesPerLane and transfer are more than a run can send.
	filesPerLane = 8000
	// sharers is the most transfers of one run.
	sharers = 2
)

// source is a directory with a directory for each transfer of a run. The files are
// holes, so they take no room and no time to read.
type source struct{ dir string }

// makeSource makes the files. Those of several transfers have the same directories, so
// they fall into the same partitions, and other names.
func makeSource(dir string) (source, error) {
	for transfer := range sharers {
		for prefix := range prefixCount {
			folder := filepath.Join(dir, path(transfer), fmt.Sprintf("p%d", prefix))
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return source{}, fmt.Errorf("make the source: %w", err)
			}
			for i := range filesPerLane {
				if err := makeHole(filepath.Join(folder, fmt.Sprintf("%s-%05d", path(transfer), i))); err != nil {
					return source{}, fmt.Errorf("make the source: %w", err)
				}
			}
		}
	}
	return source{dir}, nil
}

func makeHole(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := file.Truncate(objectBytes); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

// path is the directory of a transfer's files.
func path(transfer int) string { return fmt.Sprintf("t%d", transfer) }
