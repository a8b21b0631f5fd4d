package faults

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"cargoship.dev/operator/test/kit/assets"
)

// settings are what the command line chooses.
type settings struct {
	// seed of kills, faults and contents.
	seed uint64
	// kills is how many copies are killed.
	kills int
	// full runs what takes minutes, too.
	full bool
}

// tally is what all tests together have seen.
type tally struct {
	faults, kills, digests, differing, open atomic.Int64
	// resent bytes, and how many the kills excuse.
	resent, allowed atomic.Int64
}

var (
	chosen  settings
	counted tally
	// cargoship is the program under test.
	cargoship string
)

func TestMain(m *testing.M) {
	flag.Uint64Var(&chosen.seed, "seed", 1, "seed of kills, faults and contents")
	flag.IntVar(&chosen.kills, "kills", 3, "how many copies to kill")
	flag.BoolVar(&chosen.full, "full", false, "run what takes minutes, too")
	flag.Parse()
	// The programs that are started here would ignore a hangup if this one did.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// Others than the owner run the program as well.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	}
	cargoship = filepath.Join(dir, "cargoship")
	root, err := assets.RepositoryRoot()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	}
	build := exec.Command("go", "build", "-o", cargoship, "./cmd/cargoship")
	build.Dir, build.Stderr, build.Env = root, os.Stderr, append(os.Environ(), "CGO_ENABLED=0")
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "faults: build cargoship:", err)
		return 1
	}
	code := m.Run()
	fmt.Printf("faults: seed %d: %d faults injected, %d copies killed, %d digests compared, %d differ, %d uploads left open, "+
		"%d bytes resent after kills of at most %d\n", chosen.seed, counted.faults.Load(), counted.kills.Load(), counted.digests.Load(),
		counted.differing.Load(), counted.open.Load(), counted.resent.Load(), counted.allowed.Load())
	return code
}
