package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit/product"
)

// VerifyTransfer expects that a transfer of a directory is complete: it reads every byte back, compares what is
// archived with the source in both directions, and status and manifests with what is archived.
func (l *Deployment) VerifyTransfer(ctx context.Context, at *v1alpha1.ArchiveTransfer, dir string, to product.Location) (tally product.Tally, err error) {
	if err := l.Client.Get(ctx, client.ObjectKeyFromObject(at), at); err != nil {
		return tally, err
	}
	if at.Spec.Packing.Format == v1alpha1.PackingTar {
		tally, err = l.VerifyPacked(ctx, dir, to)
	} else {
		tally, err = l.Verify(ctx, dir, to)
	}
	if err != nil {
		return tally, err
	}
	listed, err := l.listed(ctx, to)
	if err != nil {
		return tally, fmt.Errorf("read the manifests: %w", err)
	}
	return tally, errors.Join(listed.same(tally), statusErrors(at, listed))
}

// manifested is what the manifests tell.
type manifested struct{ entries, files, bytes int64 }

// listed reads the manifests: each path is there once, archived.
func (l *Deployment) listed(ctx context.Context, to product.Location) (manifested, error) {
	var sum manifested
	out, err := l.Read(ctx, "ls", to, "--json")
	if err != nil {
		return sum, err
	}
	seen := map[string]bool{}
	for lines := json.NewDecoder(strings.NewReader(out)); ; {
		var m struct {
			Path, Kind, Outcome string
			Size                int64
		}
		if err := lines.Decode(&m); errors.Is(err, io.EOF) {
			return sum, nil
		} else if err != nil {
			return sum, err
		}
		if seen[m.Path] || !strings.EqualFold(m.Outcome, "done") {
			return sum, fmt.Errorf("%q is listed twice, or not as archived: %q", m.Path, m.Outcome)
		}
		seen[m.Path] = true
		sum.entries++
		if m.Kind == "File" {
			sum.files++
			sum.bytes += m.Size
		}
	}
}

func (m manifested) same(tally product.Tally) error {
	if m.entries != int64(tally.Files) || m.bytes != tally.Bytes {
		return fmt.Errorf("the manifests list %d entries of %d bytes; %d of %d bytes are archived", m.entries, m.bytes, tally.Files, tally.Bytes)
	}
	return nil
}

// statusErrors compares a transfer's status with what its manifests tell.
func statusErrors(at *v1alpha1.ArchiveTransfer, want manifested) error {
	var errs []error
	for kind, is := range map[string]bool{
		v1alpha1.ConditionComplete: true, v1alpha1.ConditionFailed: false, v1alpha1.ConditionSuspended: false,
		v1alpha1.ConditionProgressing: false, v1alpha1.ConditionDegraded: false,
	} {
		c := meta.FindStatusCondition(at.Status.Conditions, kind)
		if c == nil || (string(c.Status) == "True") != is {
			errs = append(errs, fmt.Errorf("the condition %s is %+v; want %t", kind, c, is))
		}
	}
	p := at.Status.Progress
	if p == nil || p.Done == nil {
		return errors.Join(append(errs, errors.New("the status tells no progress"))...)
	}
	if ptr.Deref(p.Done.Files, 0) != want.entries || ptr.Deref(p.Done.Bytes, 0) != want.bytes {
		errs = append(errs, fmt.Errorf("the status counts %d files of %d bytes, the manifests %d of %d",
			ptr.Deref(p.Done.Files, 0), ptr.Deref(p.Done.Bytes, 0), want.entries, want.bytes))
	}
	if failed := p.Failed; failed != nil && ptr.Deref(failed.Files, 0) > 0 {
		errs = append(errs, fmt.Errorf("%d files count as failed", *failed.Files))
	}
	if planned, finished := ptr.Deref(p.ArchivesPlanned, 0), ptr.Deref(p.ArchivesFinished, 0); planned == 0 || planned != finished {
		errs = append(errs, fmt.Errorf("%d of %d archives have ended", finished, planned))
	}
	if w := at.Status.Workers; w == nil || ptr.Deref(w.Leased, 0)+ptr.Deref(w.Blocked, 0)+ptr.Deref(w.Desired, 0) != 0 {
		errs = append(errs, fmt.Errorf("the status tells of workers: %+v", w))
	}
	return errors.Join(errs...)
}
