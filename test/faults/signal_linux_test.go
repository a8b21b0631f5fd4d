package faults

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cargoship.dev/operator/lab"
)

// endsSoon is within what a command ends that a signal ends, on a machine however busy. One that has uploads
// to abort makes sure for a second that a part which was cut off brings none of them back.
const endsSoon = 15 * time.Second

// wantStopped fails unless a run that a signal was sent to ends soon, with status 1, and says so.
func (c *run) wantStopped(t *testing.T) {
	t.Helper()
	begun := time.Now()
	o := c.end(t)
	if took := time.Since(begun); took > endsSoon {
		t.Errorf("it took %v to end", took)
	}
	wantFailed(t, o, "^cargoship [a-z]+: stopped: |\ncargoship [a-z]+: stopped: ")
}

// TestSignals ends copies by each of the signals that end a command. No upload stays open.
func TestSignals(t *testing.T) {
	for name, packing := range map[string]string{"objects": "objects", "tar": "tar"} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
			t.Run(name+"/"+sig.String(), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, slowly())
				r.mixture(t)
				r.write(t, "packed", 50*mebi)
				c := r.begin(t, "--packing", packing)
				await(t, "an upload to be open", func() bool { return r.sent() > partSize && r.Stats().Total.OpenUploads > 0 })
				if err := c.child.Signal(sig); err != nil {
					t.Fatal(err)
				}
				c.wantStopped(t)
				r.wantNoUploads(t)
			})
		}
	}
}

// TestHangup ends no copy that was begun with nohup.
func TestHangup(t *testing.T) {
	t.Parallel()
	r := newRig(t, slowly())
	r.mixture(t)
	c := r.wrapped(t, "trap '' HUP; exec \"$@\"", "copy", r.source, destination)
	await(t, "the copy to be under way", func() bool { return r.sent() > partSize })
	if err := c.child.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.wantWhole(t, c.end(t))
}

// wrapped starts cargoship by a line of shell.
func (r *rig) wrapped(t *testing.T, line string, arguments ...string) *run {
	t.Helper()
	return r.startBy(t, exec.Command("sh", append([]string{"-c", line, "sh", cargoship}, r.arguments(arguments)...)...))
}

// TestNobodyReadsTheOutput has the reader of the output go while a copy runs.
func TestNobodyReadsTheOutput(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Conditions{Bandwidth: &lab.Bandwidth{SharedMegabits: 40}})
	r.write(t, "huge", 6*partSize)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cargoship, r.arguments([]string{"copy", r.source, destination})...)
	cmd.Stdout, cmd.Stderr = writer, writer
	c := r.startBy(t, cmd)
	await(t, "an upload to be open", func() bool { return r.Stats().Total.OpenUploads > 0 })
	if err := errors.Join(writer.Close(), reader.Close()); err != nil {
		t.Fatal(err)
	}
	c.end(t)
	if code, signal := c.child.ExitCode(); code != 1 || signal != 0 {
		t.Errorf("exit code %d, signal %d, want 1", code, signal)
	}
	r.wantNoUploads(t)
}

// TestSignalBeforeAServerThatIsSilent ends a copy whose uploads cannot be aborted.
func TestSignalBeforeAServerThatIsSilent(t *testing.T) {
	t.Parallel()
	r := newRig(t, slowly())
	r.mixture(t)
	c := r.begin(t)
	await(t, "an upload to be open", func() bool { return r.sent() > partSize && r.Stats().Total.OpenUploads > 0 })
	r.Set(lab.Conditions{Faults: []lab.Fault{{Kind: lab.NoAnswer, Share: 1, Duration: time.Minute}}})
	if err := c.child.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.wantStopped(t)
	r.Set(lab.Conditions{})
	r.wantWhole(t, r.copy(t)) // Which goes on with what was left open.
}

// TestSignalsEndReading ends what only reads, of which there is half a minute left.
func TestSignalsEndReading(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Conditions{})
	for _, name := range []string{"a", "b", "c"} {
		r.write(t, name, 10*mebi)
	}
	if o := r.copy(t, "--packing", "tar", "--prefixes", "1"); o.code != 0 {
		t.Fatalf("exit code %d: %s", o.code, o.stderr)
	}
	r.Set(lab.Conditions{Bandwidth: &lab.Bandwidth{SharedMegabits: 8}})
	restored := t.TempDir()
	for _, arguments := range [][]string{{"restore", destination, restored}, {"verify", destination, "--read-back"}} {
		before := r.Stats().Operations["GetObject"]
		c := r.start(t, arguments...)
		// Index and manifest come first.
		await(t, "it to be under way", func() bool { return r.Stats().Operations["GetObject"] >= before+3 })
		time.Sleep(200 * time.Millisecond)
		if err := c.child.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		c.wantStopped(t)
	}
	// Nothing takes a name before it is whole.
	found, err := filepath.Glob(filepath.Join(restored, "*"))
	if err != nil || len(found) > 0 {
		t.Errorf("restored %s, %v", strings.Join(found, ", "), err)
	}
}
