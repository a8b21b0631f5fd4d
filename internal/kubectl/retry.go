package kubectl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/workload"
)

const (
	// retriedAt is an annotation whose change makes the manager look at once.
	retriedAt = "transfer.cargoship.dev/retried-at"
	retryNote = `{"metadata":{"annotations":{%q:%q}}}`
	// deletePoll is how often one looks whether a transfer is gone.
	deletePoll = 500 * time.Millisecond
)

// retryFlags are those of retry.
type retryFlags struct {
	*access
	changed bool
	timeout time.Duration
}

func newRetryCommand(a *access) *cobra.Command {
	f := retryFlags{access: a}
	cmd := &cobra.Command{
		Use:   "retry NAME",
		Short: "Rerun a failed transfer, or check a blocked one again now",
		Long: "A transfer that has failed, or has failed files, is deleted and created again with the same spec, labels and\n" +
			"annotations, after a dry run against the API server. With --changed-only the new transfer has\n" +
			"sync: SizeAndTime, and sends only what is not in the bucket yet. A blocked transfer is checked again now\n" +
			"rather than after a pause.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			text, err := f.retry(cmd.Context(), c, args[0])
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&f.changed, "changed-only", false, "send only files that are not in the bucket with the same size and time")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long to wait for the deletion of the old transfer")
	return cmd
}

// retry does what the state of the transfer asks for, and says what.
func (f *retryFlags) retry(ctx context.Context, c *cluster, name string) (string, error) {
	at, err := c.transfer(ctx, name)
	if err != nil {
		return "", err
	}
	run := explain.FromWorkload(workload.Of(at))
	progressing := meta.FindStatusCondition(run.Conditions, v1alpha1.ConditionProgressing)
	failed := run.Is(v1alpha1.ConditionFailed) || run.Ended() && len(run.Failures) > 0
	switch {
	case at.DeletionTimestamp != nil:
		return "", fmt.Errorf("archivetransfer %s is being deleted: create it again once it is gone", name)
	case failed:
		return f.again(ctx, c, at)
	case run.Ended():
		return "", fmt.Errorf("archivetransfer %s is complete: to send what has changed since, create another with sync: SizeAndTime", name)
	case run.Is(v1alpha1.ConditionSuspended):
		return "", fmt.Errorf("archivetransfer %s is suspended: continue it with `kubectl cargoship resume %s`", name, name)
	case progressing != nil && progressing.Status == metav1.ConditionTrue:
		return "", fmt.Errorf("archivetransfer %s is progressing: there is nothing to retry", name)
	}
	note := fmt.Appendf(nil, retryNote, retriedAt, time.Now().UTC().Format(time.RFC3339Nano))
	if err := c.Patch(ctx, at, client.RawPatch(types.MergePatchType, note), fieldManager); err != nil {
		return "", c.problem(ctx, "patch", "archivetransfers", c.namespace, name, err)
	}
	return fmt.Sprintf("archivetransfer %s is checked again now", name), nil
}

// again deletes a transfer and creates it anew.
func (f *retryFlags) again(ctx context.Context, c *cluster, old *v1alpha1.ArchiveTransfer) (string, error) {
	fresh := &v1alpha1.ArchiveTransfer{TypeMeta: old.TypeMeta, Spec: *old.Spec.DeepCopy()}
	fresh.Namespace, fresh.Labels, fresh.Annotations, fresh.OwnerReferences = old.Namespace, old.Labels, old.Annotations, old.OwnerReferences
	if f.changed && fresh.Spec.Sync != v1alpha1.SyncChecksum {
		fresh.Spec.Sync = v1alpha1.SyncSizeAndTime
	}
	// The name is taken still, so the trial has another.
	trial := fresh.DeepCopy()
	trial.GenerateName = "retry-"
	if err := c.Create(ctx, trial, client.DryRunAll, fieldManager); err != nil {
		return "", fmt.Errorf("nothing was changed: %w", c.problem(ctx, "create", "archivetransfers", c.namespace, old.Name, err))
	}
	fresh.Name = old.Name
	must := client.Preconditions{UID: &old.UID, ResourceVersion: &old.ResourceVersion}
	if err := c.Delete(ctx, old, must, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		return "", fmt.Errorf("nothing was changed: %w", c.problem(ctx, "delete", "archivetransfers", c.namespace, old.Name, err))
	}
	err := f.awaitGone(ctx, c, old)
	if err == nil {
		err = c.Create(ctx, fresh, fieldManager)
	}
	if err != nil {
		return "", kept(fresh, err)
	}
	return fmt.Sprintf("archivetransfer %s runs again", old.Name), nil
}

// awaitGone waits until a deleted transfer is gone.
func (f *retryFlags) awaitGone(ctx context.Context, c *cluster, old *v1alpha1.ArchiveTransfer) error {
	for deadline := time.Now().Add(f.timeout); ; {
		is := &v1alpha1.ArchiveTransfer{}
		err := c.Get(ctx, client.ObjectKeyFromObject(old), is)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		case is.UID != old.UID:
			return errors.New("somebody else has created it in the meantime")
		case time.Now().After(deadline):
			return errors.New("the manager has not removed its finalizer: is it running?")
		case !pause(ctx, deletePoll):
			return context.Cause(ctx)
		}
	}
}

// kept writes the manifest of a transfer that could not be created to a file, since nothing
// else holds it any more.
func kept(at *v1alpha1.ArchiveTransfer, cause error) error {
	text, err := yaml.Marshal(at)
	if err != nil {
		return errors.Join(cause, err)
	}
	file, err := os.CreateTemp("", at.Name+"-*.yaml")
	if err != nil {
		return fmt.Errorf("archivetransfer %s was deleted and not created again: %w; and its manifest could not be saved: %w", at.Name, cause, err)
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("archivetransfer %s was deleted and not created again: %w; and its manifest could not be saved: %w", at.Name, cause, err)
	}
	return fmt.Errorf("archivetransfer %s was deleted and not created again: %w: once that is fixed, run `kubectl create -f %s`", at.Name, cause, file.Name())
}
