package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/internal/workload"
)

const (
	// explainLimit bounds the questions asked of an API server that may be gone.
	explainLimit = 5 * time.Second
	// shownLines is how many lines of each log are shown.
	shownLines = 15
)

// explain shows what may tell why the demo failed: conditions, pods, and the end of
// each log. The run directory stays for a closer look.
func (s *stage) explain(w io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), explainLimit)
	defer cancel()
	if s.Product != nil {
		s.explainTransfer(ctx, w)
		s.explainPods(ctx, w)
	}
	_ = filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && path == s.data {
			return filepath.SkipDir
		}
		if err == nil && filepath.Ext(path) == ".log" && !strings.HasPrefix(entry.Name(), "kube-") && entry.Name() != "etcd.log" {
			tail(w, path)
		}
		return nil
	})
	_, _ = fmt.Fprintf(w, "\ndemo: logs and objects of this run are in %s\n", s.dir)
}

func (s *stage) explainTransfer(ctx context.Context, w io.Writer) {
	object := workload.New(s.kind)
	if err := s.Client.Get(ctx, s.key, object); err != nil {
		return
	}
	_, _ = fmt.Fprintf(w, "\nconditions of %s %s:\n", s.kind, s.key)
	transfer := workload.Of(object)
	for _, c := range transfer.Status.Conditions {
		_, _ = fmt.Fprintf(w, "  %-12s %-6s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	for _, f := range transfer.Status.Failures {
		_, _ = fmt.Fprintf(w, "  archive %s/%d: %s: %s\n", f.Prefix, value(f.Number), f.Reason, f.Message)
	}
}

func (s *stage) explainPods(ctx context.Context, w io.Writer) {
	pods := &corev1.PodList{}
	if err := s.Client.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return
	}
	_, _ = fmt.Fprintln(w, "\npods:")
	for _, p := range pods.Items {
		state := ""
		for _, c := range p.Status.ContainerStatuses {
			switch {
			case c.State.Waiting != nil:
				state = c.State.Waiting.Reason + ": " + c.State.Waiting.Message
			case c.State.Terminated != nil:
				state = fmt.Sprintf("exit code %d", c.State.Terminated.ExitCode)
			}
		}
		_, _ = fmt.Fprintf(w, "  %-40s %-10s %s\n", p.Name, p.Status.Phase, state)
	}
}

// tail shows the last lines of a log.
func tail(w io.Writer, path string) {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return
	}
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	_, _ = fmt.Fprintf(w, "\nend of %s:\n", path)
	for _, line := range lines[max(0, len(lines)-shownLines):] {
		_, _ = fmt.Fprintf(w, "  %s\n", line)
	}
}
