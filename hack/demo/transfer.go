package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/workload"
)

const (
	// lookInterval is the time between two looks at the transfer.
	lookInterval = 500 * time.Millisecond
	// lineInterval is the time between two reports where the output is no terminal.
	lineInterval = 2 * time.Second
	// transferLimit ends a demo that makes no headway; a transfer takes a fraction of it.
	transferLimit = 30 * time.Minute
)

// transfer applies the sample and shows its progress until it ends.
func (s *stage) transfer(ctx context.Context, out *os.File) error {
	name := "transfer_v1alpha1_archivetransfer.yaml"
	if s.packing == packingTar {
		name = "transfer_v1alpha1_archivetransfer_tar.yaml"
	}
	sample := filepath.Join(s.root, "config", "samples", name)
	transfer, err := sampleTransfer(sample, target{region: s.S3.Region, endpoint: s.S3.Endpoint})
	if err != nil {
		return err
	}
	if err := s.Client.Create(ctx, transfer); err != nil {
		return fmt.Errorf("apply the sample: %w", err)
	}
	s.kind, s.key = workload.KindTransfer, client.ObjectKeyFromObject(transfer)
	say("applied ArchiveTransfer %s", s.key)
	ctx, cancel := context.WithTimeoutCause(ctx, transferLimit, errors.New("the transfer has not ended"))
	defer cancel()
	return s.follow(ctx, newView(out))
}

// restore restores what the transfer has archived, and shows its progress until it ends.
func (s *stage) restore(ctx context.Context, out *os.File) error {
	sample := filepath.Join(s.root, "config", "samples", "transfer_v1alpha1_archiverestore.yaml")
	restore, err := sampleRestore(sample, s.key.Name)
	if err != nil {
		return err
	}
	if err := s.Client.Create(ctx, restore); err != nil {
		return fmt.Errorf("apply the sample: %w", err)
	}
	s.kind, s.key = workload.KindRestore, client.ObjectKeyFromObject(restore)
	say("applied ArchiveRestore %s", s.key)
	ctx, cancel := context.WithTimeoutCause(ctx, transferLimit, errors.New("the restore has not ended"))
	defer cancel()
	return s.follow(ctx, newView(out))
}

// follow shows each state of a transfer or restore until it is complete.
func (s *stage) follow(ctx context.Context, v *view) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		object := workload.New(s.kind)
		if err := s.Client.Get(ctx, s.key, object); err != nil {
			return fmt.Errorf("look at %s %s: %w", s.kind, s.key, err)
		}
		transfer := workload.Of(object)
		conditions := transfer.Status.Conditions
		complete := meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionComplete)
		failed := meta.FindStatusCondition(conditions, v1alpha1.ConditionFailed)
		ended := complete || failed != nil && failed.Status == "True"
		v.show(transfer, ended)
		if complete {
			return nil
		}
		if ended {
			return fmt.Errorf("%s failed: %s: %s", transfer, failed.Reason, failed.Message)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", transfer, context.Cause(ctx))
		case <-s.Manager.Ended():
			return fmt.Errorf("the manager ended first: %w", cmp.Or(s.Manager.Err(), errExitZero))
		case <-tick.C:
		}
	}
}

// errExitZero stands for the error of a process that ended without one.
var errExitZero = errors.New("exit status 0")

// view shows a transfer: a block that is redrawn on a terminal, lines elsewhere.
type view struct {
	out      io.Writer
	terminal bool
	begin    time.Time
	last     time.Time // of the last report
	lines    int       // of the block on the terminal
}

func newView(out *os.File) *view {
	return &view{out: out, terminal: term.IsTerminal(int(out.Fd())), begin: time.Now()}
}

// show reports a state of the transfer; the final one in any case.
func (v *view) show(transfer *workload.Workload, final bool) {
	if !v.terminal && !final && time.Since(v.last) < lineInterval {
		return
	}
	v.last = time.Now()
	if v.terminal && v.lines > 0 {
		// Up to the block's first line, and clear from there.
		_, _ = fmt.Fprintf(v.out, "\x1b[%dA\x1b[J", v.lines)
	}
	lines := report(&transfer.Status, time.Since(v.begin))
	for _, line := range lines {
		_, _ = fmt.Fprintln(v.out, line)
	}
	v.lines = len(lines)
}

// report describes a status: a line for the whole, and one for each prefix.
func report(status *v1alpha1.ArchiveTransferStatus, since time.Duration) []string {
	progress := status.Progress
	if progress == nil {
		progress = &v1alpha1.Progress{}
	}
	control := status.Coordination
	if control == nil {
		control = &v1alpha1.CoordinationStatus{}
	}
	doing := "Starting"
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing); c != nil {
		doing = c.Reason
	}
	lines := []string{fmt.Sprintf("%5.1f s  %-13s %-19s window %4d  %10s/s  %s",
		since.Seconds(), doing, or(control.State, "-"), value(control.Window),
		convert.Bytes(value(progress.BytesPerSecond)), amounts(progress.Done, progress.Planned))}
	for i := range status.Prefixes {
		p := &status.Prefixes[i]
		lines = append(lines, fmt.Sprintf("         %-33s window %4d  %10s/s  %s",
			p.Name, value(p.Window), convert.Bytes(value(p.BytesPerSecond)), amounts(p.Done, p.Planned)))
	}
	return lines
}

// amounts tells how much of what is planned is done.
func amounts(done, planned *v1alpha1.Tally) string {
	if done == nil {
		done = &v1alpha1.Tally{}
	}
	if planned == nil {
		planned = &v1alpha1.Tally{}
	}
	return fmt.Sprintf("%5d/%d files  %10s/%s", value(done.Files), value(planned.Files),
		convert.Bytes(value(done.Bytes)), convert.Bytes(value(planned.Bytes)))
}

// value is what a pointer leads to, zero for none.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
