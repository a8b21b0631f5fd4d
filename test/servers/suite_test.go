package servers

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"cargoship.dev/operator/test/kit/assets"
)

// settings are what the command line chooses.
type settings struct {
	// full runs all servers and fails for one that is not built; otherwise those run that
	// take seconds.
	full bool
	// only is the first word of one server's name.
	only string
	// endpoint, with the keys, is that of a server that runs already, the only one then.
	endpoint, accessKey, secretKey string
	// page is where the table is written.
	page string
}

var (
	chosen settings
	// root is the top of the repository.
	root string
	// cargoship is the program under test.
	cargoship string
)

func TestMain(m *testing.M) {
	flag.BoolVar(&chosen.full, "full", false, "run all servers")
	flag.StringVar(&chosen.only, "only", "", "run the server alone whose name begins with this word")
	flag.StringVar(&chosen.endpoint, "endpoint", "", "http:// URL of a server that runs already, to run alone")
	flag.StringVar(&chosen.accessKey, "access-key", "", "access key of that server")
	flag.StringVar(&chosen.secretKey, "secret-key", "", "secret key of that server")
	flag.StringVar(&chosen.page, "page", "", "file to write the table to")
	flag.Parse()
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "servers-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		go interrupt(dir)
		// Whatever is made on the way goes there.
		err = os.Setenv("TMPDIR", dir)
	}
	if err == nil {
		cargoship = filepath.Join(dir, "cargoship")
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		return 1
	}
	code := m.Run()
	if chosen.page != "" && code == 0 && len(cells) == len(all()) {
		if err := os.WriteFile(chosen.page, page(), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "servers:", err)
			return 1
		}
	}
	return code
}

// interrupt waits for a signal, and then leaves no process and no file behind.
func interrupt(dir string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
	children.stop()
	// The tests are still about to end, and may make a file meanwhile.
	for range 10 {
		if os.RemoveAll(dir) == nil {
			break
		}
	}
	fmt.Fprintln(os.Stderr, "servers: stopped")
	os.Exit(1)
}

func build() (err error) {
	if root, err = assets.RepositoryRoot(); err != nil {
		return err
	}
	return goBuild(root, cargoship, "./cmd/cargoship")
}

// goBuild builds a program from a module.
func goBuild(module, program, pkg string) error {
	cmd := exec.Command("go", "build", "-o", program, pkg)
	cmd.Dir, cmd.Stderr, cmd.Env = module, os.Stderr, append(os.Environ(), "CGO_ENABLED=0")
	if err := children.run(cmd); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}
