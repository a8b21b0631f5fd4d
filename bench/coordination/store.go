package main

import (
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cargoship.dev/operator/internal/sim"
)

// store runs controllers in scenarios, and keeps what they did until the code or
// the scenario changes: a law is tuned many times, the others stay.
type store struct {
	folder   string
	parallel int
	// simulator and law are digests of the code that a baseline, and that ours,
	// depend on.
	simulator, law string
	// computed and kept count what was run and what was found.
	computed, kept int
}

func newStore(folder string, parallel int) (*store, error) {
	simulator, err := digest("internal/sim")
	if err != nil {
		return nil, err
	}
	law, err := digest("internal/coordination", "internal/pace")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder for results: %w", err)
	}
	return &store{folder: folder, parallel: parallel, simulator: simulator, law: law}, nil
}

// digest of the Go files in folders and all below them, tests left out.
func digest(folders ...string) (string, error) {
	sum := sha256.New()
	for _, folder := range folders {
		files := 0
		err := filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			files++
			return add(sum, file)
		})
		if err == nil && files == 0 {
			err = fs.ErrNotExist
		}
		if err != nil {
			return "", fmt.Errorf("read the code in %s (run from the top of the repository): %w", folder, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func add(sum io.Writer, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read code: %w", err)
	}
	if _, err := fmt.Fprintf(sum, "%s %d\n%s", file, len(text), text); err != nil {
		return fmt.Errorf("hash %s: %w", file, err)
	}
	return nil
}

// path of what a controller did.
func (s *store) path(fingerprint []byte, x *sim.Scenario, controller string, seeds int) string {
	law := ""
	if ours(controller) {
		law = s.law
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%d", s.simulator, law, fingerprint, controller, seeds))
	name := strings.NewReplacer("/", "_", ":", "_").Replace(x.Name + "." + controller)
	return filepath.Join(s.folder, fmt.Sprintf("%s.%x.gob", name, key[:8]))
}

// fingerprint is all that a scenario holds but for its targets, which do not change
// a run.
func fingerprint(x *sim.Scenario) ([]byte, error) {
	plain := *x
	plain.Targets, plain.Description = nil, ""
	text, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("take the fingerprint of scenario %s: %w", x.Name, err)
	}
	return text, nil
}

// compare gives what the controllers did in the scenario with the seeds 1 to so many.
func (s *store) compare(x *sim.Scenario, controllers []string, seeds int) (comparison, error) {
	text, err := fingerprint(x)
	if err != nil {
		return comparison{}, err
	}
	path := func(controller string) string { return s.path(text, x, controller, seeds) }
	found := map[string]entry{}
	var missing []sim.Controller
	for _, name := range controllers {
		c, err := sim.FindController(name)
		if err != nil {
			return comparison{}, err
		}
		e, err := s.load(path(name))
		switch {
		case err == nil:
			found[name] = e
			s.kept++
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, c)
		default:
			return comparison{}, err
		}
	}
	if err := s.run(x, missing, seeds, found, path); err != nil {
		return comparison{}, err
	}
	entries := make([]entry, len(controllers))
	for i, name := range controllers {
		entries[i] = found[name]
	}
	return compare(x, entries), nil
}

// run adds what the controllers do to found, and keeps it.
func (s *store) run(x *sim.Scenario, controllers []sim.Controller, seeds int, found map[string]entry, path func(string) string) error {
	var trace *sim.Trace
	begun := time.Now()
	options := sim.Options{Seeds: seeds, Seed: 1, Parallel: s.parallel, Trace: func(t *sim.Trace) error {
		trace = t
		return nil
	}}
	return sim.Compare([]*sim.Scenario{x}, controllers, options, func(row sim.Row) error {
		e := entry{Row: row, Trace: trace, Took: time.Since(begun)}
		begun = time.Now()
		found[row.Controller] = e
		s.computed++
		return s.save(path(row.Controller), e)
	})
}

func (s *store) load(path string) (e entry, err error) {
	f, err := os.Open(path)
	if err != nil {
		return entry{}, fmt.Errorf("read a kept result: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := gob.NewDecoder(f).Decode(&e); err != nil {
		return entry{}, fmt.Errorf("read the kept result %s (delete it to compute it again): %w", path, err)
	}
	return e, nil
}

// save writes beside and renames, so that an interrupted run leaves nothing half.
func (s *store) save(path string, e entry) (err error) {
	f, err := os.CreateTemp(s.folder, "new-*")
	if err != nil {
		return fmt.Errorf("store a result: %w", err)
	}
	err = errors.Join(gob.NewEncoder(f).Encode(e), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("store a result in %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
