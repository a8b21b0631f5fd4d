//go:build e2e

package tutorial

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cargoship.dev/operator/test/kit/assets"
)

// patience is how long a command may take, a build from nothing included.
const patience = 15 * time.Minute

// terminal is a shell that somebody types into.
type terminal struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

// done ends the output of a command, before its exit code.
const done = '\x1e'

func open(t *testing.T, dir string) *terminal {
	t.Helper()
	cmd := exec.Command("bash")
	cmd.Dir = dir
	// What the tests of this repository are run with is not what a newcomer has.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != "KUBEBUILDER_ASSETS" && name != "MAKEFLAGS" && name != "MAKELEVEL" && name != "KUBECONFIG" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return &terminal{cmd, in, bufio.NewReader(r)}
}

// interrupt is Ctrl-C, and the end of the shell.
func (x *terminal) interrupt() error {
	err := syscall.Kill(-x.cmd.Process.Pid, syscall.SIGINT)
	_ = x.in.(io.Closer).Close()
	_, _ = io.Copy(io.Discard, x.out)
	_ = x.cmd.Wait() // It has been interrupted.
	return err
}

// run types a command and returns what it prints.
func (x *terminal) run(t *testing.T, s step) string {
	t.Helper()
	begun := time.Now()
	if _, err := fmt.Fprintf(x.in, "%s\nprintf '%c%%d\\n' $?\n", s.command, done); err != nil {
		t.Fatal(err)
	}
	text, err := x.out.ReadString(done)
	if err != nil {
		t.Fatalf("line %d: the shell has ended: %v\n%s", s.line, err, text)
	}
	code, err := x.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	text = strings.TrimSuffix(text, string(done))
	t.Logf("%5.1f s  $ %s\n%s", time.Since(begun).Seconds(), s.command, text)
	if code != "0\n" {
		t.Errorf("line %d: %s: exit code %s", s.line, s.command, code)
	}
	return text
}

// await types a command that does not end, and waits until it has printed what the page says last.
func (x *terminal) await(t *testing.T, s step) {
	t.Helper()
	if _, err := fmt.Fprintf(x.in, "%s\nprintf '%c\\n'\n", s.command, done); err != nil {
		t.Fatal(err)
	}
	var text string
	for last := s.want[len(s.want)-1]; ; {
		line, err := x.out.ReadString('\n')
		text += line
		if err != nil || strings.ContainsRune(line, done) {
			t.Fatalf("line %d: %s ended: %v\n%s", s.line, s.command, err, text)
		}
		if strings.TrimSuffix(line, "\n") == last {
			break
		}
	}
	if !matches(s.want, text) {
		t.Errorf("line %d: %s printed\n%s", s.line, s.command, text)
	}
}

// TestTheTutorial types every command of the page, in order, into two terminals.
func TestTheTutorial(t *testing.T) {
	root, err := assets.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := read(string(page))
	if err != nil || len(blocks) < 2 {
		t.Fatalf("%d blocks of commands, %v", len(blocks), err)
	}
	late := time.AfterFunc(patience, func() { panic("the tutorial takes too long") })
	defer late.Stop()
	first, second := open(t, root), open(t, root)
	defer func() {
		if err := errors.Join(second.interrupt(), first.interrupt()); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(root, "bin", "playground", "*")); len(left) > 0 {
			t.Errorf("the playground left %v", left)
		}
	}()
	for _, s := range blocks[0][:len(blocks[0])-1] {
		first.run(t, s)
	}
	first.await(t, blocks[0][len(blocks[0])-1])
	for _, b := range blocks[1:] {
		for _, s := range b {
			if got := second.run(t, s); !matches(s.want, got) {
				t.Errorf("line %d: %s printed\n%s\nand the page promises\n%s", s.line, s.command, got, strings.Join(s.want, "\n"))
			}
		}
	}
}
