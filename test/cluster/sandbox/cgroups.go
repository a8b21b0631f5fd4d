package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const cgroupMount = "/sys/fs/cgroup"

// hierarchies are the control group trees of this machine: one for each controller
// with version 1, or the only one of version 2.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupMount, "cgroup.controllers")); err == nil {
		return []string{cgroupMount}, nil
	}
	found, err := filepath.Glob(filepath.Join(cgroupMount, "*", "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var trees []string
	for _, path := range found {
		trees = append(trees, filepath.Dir(path))
	}
	return trees, nil
}

// makeCgroups makes a node's control group in every tree. In that of CPU sets a new
// group is of no use until it is told which it has.
func makeCgroups(root string) error {
	trees, err := hierarchies()
	if err != nil {
		return fmt.Errorf("find the control groups: %w", err)
	}
	for _, tree := range trees {
		path := tree
		for part := range strings.SplitSeq(strings.Trim(root, "/"), "/") {
			path = filepath.Join(path, part)
			if err := os.MkdirAll(path, 0o755); err != nil {
				return fmt.Errorf("make a control group: %w", err)
			}
			for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := inherit(path, name); err != nil {
					return fmt.Errorf("fill a control group: %w", err)
				}
			}
		}
	}
	return nil
}

// inherit copies a setting from the parent, where this tree has it.
func inherit(path, name string) error {
	if _, err := os.Stat(filepath.Join(cgroupMount, "cgroup.controllers")); err == nil {
		return nil // version 2 inherits by itself
	}
	value, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(path, name), value, 0o644)
}

// removeCgroups removes a control group with all below it from every tree. Processes
// that were killed may take a moment to leave; ctx bounds the wait for them.
func removeCgroups(ctx context.Context, root string) error {
	trees, err := hierarchies()
	if err != nil {
		return fmt.Errorf("find the control groups: %w", err)
	}
	for _, tree := range trees {
		for {
			err := removeTree(filepath.Join(tree, root))
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("remove a control group: %w", err)
			case <-time.After(endPoll):
			}
		}
	}
	return nil
}

func removeTree(top string) error {
	groups, err := groupsBelow(top)
	if err != nil {
		return err
	}
	for _, group := range slices.Backward(groups) {
		if err := os.Remove(group); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// groupsBelow lists a group and those below it, each after its parent.
func groupsBelow(top string) ([]string, error) {
	var groups []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for control groups: %w", err)
		}
		if entry.IsDir() {
			groups = append(groups, path)
		}
		return nil
	})
	return groups, err
}
