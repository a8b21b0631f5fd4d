package product

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// VerifyRestored compares a directory with what was restored of it, in both directions: kinds,
// content, modes, modification times and where links lead. Directories count with attributes
// only, since packing Objects keeps neither their modes nor their times.
func VerifyRestored(dir, restored string, attributes bool) (Tally, error) {
	want, err := sourceMembers(dir)
	if err != nil {
		return Tally{}, fmt.Errorf("read the source: %w", err)
	}
	got, err := sourceMembers(restored)
	if err != nil {
		return Tally{}, fmt.Errorf("read what was restored: %w", err)
	}
	if !attributes {
		for _, all := range []map[string]member{want, got} {
			for name, m := range all {
				if m.mode.IsDir() {
					delete(all, name)
				}
			}
		}
	}
	total := Tally{Files: len(want)}
	for _, m := range want {
		total.Bytes += m.size
	}
	return total, errors.Join(sameMembers(want, got), sameTimes(dir, restored, want))
}

// sameTimes tells the first modification times that differ.
func sameTimes(dir, restored string, names map[string]member) error {
	const most = 5
	var wrong []string
	for name := range names {
		was, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		is, err := os.Lstat(filepath.Join(restored, filepath.FromSlash(name)))
		if err == nil && !is.ModTime().Equal(was.ModTime()) {
			wrong = append(wrong, fmt.Sprintf("%q was modified at %v, and is restored with %v", name, was.ModTime(), is.ModTime()))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%d modification times differ: %s", len(wrong), strings.Join(wrong[:min(most, len(wrong))], "; "))
}
