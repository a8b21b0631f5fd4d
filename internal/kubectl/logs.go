package kubectl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/cli"
)

// logFlags are those of logs.
type logFlags struct {
	*access
	follow, previous, timestamps bool
	since                        time.Duration
	tail                         int64
}

func newLogsCommand(a *access) *cobra.Command {
	f := logFlags{access: a}
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print the logs of all pods of a transfer, merged by time",
		Long: "Print the logs of the workers of a transfer, and of the pod that finishes it, merged by time, each line\n" +
			"preceded by the name of its pod. With --follow, follow the logs of the pods that are running.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE:              f.run,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "follow until interrupted, or until the pods end")
	flags.BoolVarP(&f.previous, "previous", "p", false, "print the logs of the containers before the last restart")
	flags.BoolVar(&f.timestamps, "timestamps", false, "print the time of each line")
	flags.DurationVar(&f.since, "since", 0, "print only lines newer than this, such as 10m")
	flags.Int64Var(&f.tail, "tail", -1, "print only the last lines of each pod; -1 for all")
	return cmd
}

func (f *logFlags) run(cmd *cobra.Command, args []string) error {
	if f.follow && f.previous {
		return cli.UsageError{Err: errors.New("--previous and --follow exclude each other: a previous container has ended")}
	}
	c, err := f.open()
	if err != nil {
		return err
	}
	one, err := c.named(cmd.Context(), args[0])
	if err != nil {
		return err
	}
	pods, err := c.pods(cmd.Context(), one.GetUID())
	switch {
	case err != nil:
		return err
	case len(pods) == 0:
		return fmt.Errorf("%s has no pods: its workers have not started yet, or are deleted", one.title())
	}
	logs, err := f.streams(cmd, c, pods)
	if err != nil {
		return err
	}
	defer func() {
		for _, l := range logs {
			_ = l.from.Close()
		}
	}()
	printer := &logPrinter{out: cmd.OutOrStdout(), timestamps: f.timestamps}
	if f.follow {
		return follow(cmd.Context(), logs, printer)
	}
	return merge(logs, printer)
}

// pods are those of an object, by name.
func (c *cluster) pods(ctx context.Context, uid types.UID) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := c.List(ctx, &list, client.InNamespace(c.namespace), client.MatchingLabels{v1alpha1.LabelTransferUID: string(uid)}); err != nil {
		return nil, c.problem(ctx, "list", "pods", c.namespace, "", err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// streams opens the log of each pod. A pod without a log yet is skipped with a message.
func (f *logFlags) streams(cmd *cobra.Command, c *cluster, pods []corev1.Pod) ([]*podLog, error) {
	core, err := typedcorev1.NewForConfig(c.config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	o := corev1.PodLogOptions{Follow: f.follow, Previous: f.previous, Timestamps: true}
	if f.tail >= 0 {
		o.TailLines = &f.tail
	}
	if f.since > 0 {
		o.SinceSeconds = ptr.To(max(1, int64(f.since.Seconds())))
	}
	var logs []*podLog
	for _, pod := range pods {
		from, err := core.Pods(pod.Namespace).GetLogs(pod.Name, &o).Stream(cmd.Context())
		switch {
		case err == nil:
			logs = append(logs, newPodLog(pod.Name, from))
		case apierrors.IsForbidden(err):
			return logs, c.problem(cmd.Context(), "get", "pods/log", c.namespace, pod.Name, err)
		case cmd.Context().Err() != nil:
			return logs, err
		default:
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "no log of pod %s: %s\n", cli.Printable(pod.Name), oneLine(err))
		}
	}
	if len(logs) == 0 {
		return nil, errors.New("no pod has a log")
	}
	return logs, nil
}

// follow prints lines as they come, until all logs have ended or the context has, which is
// no error.
func follow(ctx context.Context, logs []*podLog, out *logPrinter) error {
	var readers sync.WaitGroup
	errs := make([]error, len(logs))
	for i, l := range logs {
		readers.Go(func() {
			for l.next() && errs[i] == nil {
				errs[i] = out.print(l)
			}
			errs[i] = errors.Join(errs[i], l.err())
		})
	}
	readers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

// merge prints the lines of all logs in the order of their times.
func merge(logs []*podLog, out *logPrinter) error {
	var left []*podLog
	var errs []error
	take := func(l *podLog) {
		if l.next() {
			left = append(left, l)
		} else {
			errs = append(errs, l.err())
		}
	}
	for _, l := range logs {
		take(l)
	}
	for len(left) > 0 {
		first := slices.MinFunc(left, func(a, b *podLog) int { return a.at.Compare(b.at) })
		if err := out.print(first); err != nil {
			return err
		}
		left = slices.DeleteFunc(left, func(l *podLog) bool { return l == first })
		take(first)
	}
	return errors.Join(errs...)
}

// logPrinter prints one line at a time.
type logPrinter struct {
	mu         sync.Mutex
	out        io.Writer
	timestamps bool
}

func (p *logPrinter) print(l *podLog) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := ""
	if p.timestamps {
		at = l.at.Format(time.RFC3339Nano) + " "
	}
	_, err := fmt.Fprintf(p.out, "%s[%s] %s\n", at, cli.Printable(l.pod), cli.Printable(l.line))
	return err
}
