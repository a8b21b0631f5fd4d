package kubectl

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/kubectl/view"
	"cargoship.dev/operator/internal/workload"
)

// bundleTail is how many lines of each pod's log are in a bundle.
const bundleTail = 5000

func newBundleCommand(a *access) *cobra.Command {
	var file string
	var hash bool
	cmd := &cobra.Command{
		Use:   "support-bundle NAME",
		Short: "Write what a bug report needs into a file, without secrets",
		Long: "Write the transfer, its leases, pods, events and logs, what limits it, and the versions of cluster and command\n" +
			"into a compressed tar. Secrets are not read, and keys and signatures are removed from text. With --hash-names,\n" +
			"names of objects, buckets, prefixes and files are replaced by hashes that are unique to the bundle. What you may\n" +
			"not read is left out and listed in it. Review the bundle before you share it.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			at, err := c.transfer(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if file == "" {
				file = "cargoship-support-" + time.Now().UTC().Format("20060102-150405") + ".tar.gz"
			}
			if err := writeBundle(cmd.Context(), c, at, file, hash); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), cli.Quote(file))
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file to write; it must not exist; named by the time by default")
	cmd.Flags().BoolVar(&hash, "hash-names", false, "replace names by hashes")
	return cmd
}

// writeBundle writes the file, and removes it if it could not be completed.
func writeBundle(ctx context.Context, c *cluster, at *v1alpha1.ArchiveTransfer, file string, hash bool) (err error) {
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create the bundle: %w", err)
	}
	zip := gzip.NewWriter(out)
	b := &bundle{cluster: c, scrubber: newScrubber(hash), tar: tar.NewWriter(zip)}
	err = errors.Join(b.collect(ctx, at), b.tar.Close(), zip.Close(), out.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("write the bundle: %w", err), os.Remove(file))
	}
	return nil
}

// bundle is one that is being written.
type bundle struct {
	*cluster
	*scrubber
	tar  *tar.Writer
	left []string // what is not in it, and why
}

// collect writes all that can be read.
func (b *bundle) collect(ctx context.Context, at *v1alpha1.ArchiveTransfer) error {
	leases, err := b.leases(ctx, at.Namespace)
	b.lack(err)
	own := leases[string(at.UID)]
	pods, err := b.pods(ctx, at.UID)
	b.lack(err)
	if err := b.objects(at, own, pods); err != nil {
		return err
	}
	run := explain.FromWorkload(workload.Of(at))
	item := view.Item{Run: run, Leases: own, Answer: explain.Explain(run, own)}
	err = errors.Join(b.events(ctx, at), b.file("explain.txt", b.text(view.Answer(item, view.Terminal{}))), b.versions())
	if err != nil {
		return err
	}
	for i := range pods {
		if err := b.log(ctx, fmt.Sprintf("logs/%d.log", i), &pods[i]); err != nil {
			return err
		}
	}
	return b.file("not-included.txt", b.text(strings.Join(b.left, "\n")+"\n"))
}

// objects writes objects, once all of them have been scrubbed: a message of one may hold the
// name of another.
func (b *bundle) objects(at *v1alpha1.ArchiveTransfer, leases []v1alpha1.PrefixLease, pods []corev1.Pod) error {
	all := map[string]client.Object{"transfer.yaml": at}
	for i := range leases {
		all[fmt.Sprintf("leases/%d.yaml", i)] = &leases[i]
	}
	for i := range pods {
		all[fmt.Sprintf("pods/%d.yaml", i)] = &pods[i]
	}
	for name, o := range all {
		if _, err := b.object(o); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := b.add(name, all[name]); err != nil {
			return err
		}
	}
	return nil
}

// lack records what could not be read.
func (b *bundle) lack(err error) {
	if err != nil {
		b.left = append(b.left, oneLine(err))
	}
}

func (b *bundle) add(name string, o client.Object) error {
	tree, err := b.object(o)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	text, err := yaml.Marshal(tree)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return b.file(name, string(text))
}

func (b *bundle) file(name, text string) error {
	header := &tar.Header{Name: "cargoship-support/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: time.Now()}
	if err := b.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.WriteString(b.tar, text)
	return err
}

// events are those of the namespace that are about the transfer or what is made for it.
func (b *bundle) events(ctx context.Context, at *v1alpha1.ArchiveTransfer) error {
	var list corev1.EventList
	if err := b.List(ctx, &list, client.InNamespace(at.Namespace)); err != nil {
		b.lack(b.problem(ctx, "list", "events", at.Namespace, "", err))
		return nil
	}
	var lines []string
	for _, e := range list.Items {
		if about := e.InvolvedObject.Name; about == at.Name || strings.HasPrefix(about, at.Name+"-") {
			lines = append(lines, b.text(fmt.Sprintf("%s %s %s %s x%d: %s", e.LastTimestamp.UTC().Format(time.RFC3339), e.Type, e.Reason, e.InvolvedObject.Kind, e.Count, cli.Printable(e.Message))))
		}
	}
	return b.file("events.txt", strings.Join(lines, "\n")+"\n")
}

func (b *bundle) versions() error {
	text := cli.Version("cargoship") + "\n"
	d, err := discovery.NewDiscoveryClientForConfig(b.config)
	if err == nil {
		if version, versionErr := d.ServerVersion(); versionErr == nil {
			text += "kubernetes " + version.String() + "\n"
		} else {
			err = versionErr
		}
	}
	b.lack(err)
	return b.file("versions.txt", text)
}

func (b *bundle) log(ctx context.Context, name string, pod *corev1.Pod) error {
	core, err := typedcorev1.NewForConfig(b.config)
	if err != nil {
		return err
	}
	from, err := core.Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{TailLines: ptr.To(int64(bundleTail))}).Stream(ctx)
	if err != nil {
		b.lack(fmt.Errorf("the log of pod %s: %w", pod.Name, err))
		return nil
	}
	defer func() { _ = from.Close() }()
	var text strings.Builder
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLogLine)
	for lines.Scan() {
		text.WriteString(b.line(lines.Text()) + "\n")
	}
	b.lack(lines.Err())
	return b.file(name, text.String())
}
