package lifecycle

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/workload"
)

// violation is a precondition that does not hold: what is missing, and
// what to do about it.
type violation struct {
	reason  string
	message string
}

// prerequisites are the objects that a transfer refers to; nil if there is no object of
// that name, or the transfer names none.
type prerequisites struct {
	claim          *corev1.PersistentVolumeClaim
	transfer       *v1alpha1.ArchiveTransfer // that a restore refers to
	population     *population               // of a restore that populates a claim
	user           *corev1.Pod               // that has the target of a restore mounted
	busy           *v1alpha1.ArchiveRestore  // another restore that has precedence at the claim
	secret         *corev1.Secret
	caBundle       *corev1.ConfigMap
	serviceAccount *corev1.ServiceAccount
	// deniedBy is the CoordinationPolicy that denies the namespace the destination.
	deniedBy string
}

// gatherPrerequisites reads what the transfer refers to, past the cache: the
// manager neither lists nor watches Secrets.
func (r *Reconciler) gatherPrerequisites(ctx context.Context, at *workload.Workload) (p prerequisites, err error) {
	if at.Restore != nil {
		if err := r.gatherRestore(ctx, at, &p); err != nil {
			return p, err
		}
	}
	if p.population, err = r.gatherPopulation(ctx, at); err != nil {
		return p, err
	}
	if p.population != nil {
		p.claim = p.population.target(at)
	} else if name, _ := claimOf(at); name != "" {
		if p.claim, err = objects.GetOrNil(ctx, r.APIReader, at.Namespace, name, &corev1.PersistentVolumeClaim{}); err != nil {
			return p, err
		}
	}
	if at.Restore != nil {
		if err := r.gatherUser(ctx, at, &p); err != nil {
			return p, err
		}
	}
	var policies v1alpha1.CoordinationPolicyList
	if err := r.Client.List(ctx, &policies); err != nil {
		return p, fmt.Errorf("list CoordinationPolicies: %w", err)
	}
	p.deniedBy = convert.NewPolicies(policies.Items).DeniedBy(at)
	err = gatherAccess(ctx, r.APIReader, at, &p)
	return p, err
}

// destinationAllowed asks the policies.
func destinationAllowed(at *workload.Workload, p prerequisites) *violation {
	if p.deniedBy == "" {
		return nil
	}
	return &violation{v1alpha1.ReasonNamespaceDenied, fmt.Sprintf(
		"CoordinationPolicy %s does not let namespace %s use the destination: ask who administers the cluster", p.deniedBy, at.Namespace)}
}

// gatherAccess reads what the workers need to access the bucket.
func gatherAccess(ctx context.Context, r client.Reader, at *workload.Workload, p *prerequisites) (err error) {
	dst := at.Location
	if name := dst.Credentials.SecretName; name != "" {
		if p.secret, err = objects.GetOrNil(ctx, r, at.Namespace, name, &corev1.Secret{}); err != nil {
			return err
		}
	}
	if b := dst.CABundle; b != nil {
		if p.caBundle, err = objects.GetOrNil(ctx, r, at.Namespace, b.ConfigMapName, &corev1.ConfigMap{}); err != nil {
			return err
		}
	}
	if i := dst.Credentials.PodIdentity; i != nil {
		p.serviceAccount, err = objects.GetOrNil(ctx, r, at.Namespace, i.ServiceAccountName, &corev1.ServiceAccount{})
	}
	return err
}

// policy judges one precondition; nil means that it holds.
type policy func(at *workload.Workload, p prerequisites) *violation

// preconditions are judged in this order; the first violation is reported.
func preconditions(at *workload.Workload) []policy {
	common := []policy{destinationAllowed, claimUsable, secretUsable, caBundleUsable, serviceAccountExists, coordinationValid}
	if at.Restore != nil {
		return append([]policy{sourceKnown, populationReady, targetWritable, targetUnused, targetFree}, common...)
	}
	return common
}

func firstViolation(policies []policy, at *workload.Workload, p prerequisites) *violation {
	for _, judge := range policies {
		if v := judge(at, p); v != nil {
			return v
		}
	}
	return nil
}

// AllowedSources are the types of sources that the administrator allows. Claims always
// are: whoever may create one in a namespace may read it there.
type AllowedSources struct{ HostPath, NFS bool }

// judge returns why a source is not allowed, nil if it is.
func (a AllowedSources) judge(s v1alpha1.Source) *violation {
	const advice = "the source is %s, which the administrator has not allowed; use a PersistentVolumeClaim, or have the manager started with %s"
	switch {
	case s.HostPath != nil && !a.HostPath:
		return &violation{v1alpha1.ReasonHostPathNotAllowed, fmt.Sprintf(advice, "a hostPath", "--allow-host-path-sources")}
	case s.NFS != nil && !a.NFS:
		return &violation{v1alpha1.ReasonNFSNotAllowed, fmt.Sprintf(advice, "an NFS export", "--allow-nfs-sources")}
	}
	return nil
}

// coordinationValid asks the core, whose validation is final.
func coordinationValid(at *workload.Workload, _ prerequisites) *violation {
	if err := convert.Validate(at); err != nil {
		return &violation{v1alpha1.ReasonInvalidCoordination, fmt.Sprintf("the transfer can't be coordinated: %v", err)}
	}
	return nil
}

func claimUsable(at *workload.Workload, p prerequisites) *violation {
	name, role := claimOf(at)
	switch {
	case name == "":
		return nil
	case p.claim == nil:
		return &violation{v1alpha1.ReasonClaimNotFound, fmt.Sprintf(
			"the %s PersistentVolumeClaim %q does not exist in namespace %q; create it", role, name, at.Namespace)}
	case p.claim.Status.Phase == corev1.ClaimLost:
		return &violation{v1alpha1.ReasonClaimNotBound, fmt.Sprintf(
			"the %s PersistentVolumeClaim %q has lost its volume %q; restore the volume", role, name, p.claim.Spec.VolumeName)}
	}
	return nil
}

func secretUsable(at *workload.Workload, p prerequisites) *violation {
	credentials := at.Location.Credentials
	name := credentials.SecretName
	switch {
	case name == "" && credentials.PodIdentity == nil:
		return &violation{v1alpha1.ReasonSecretNotFound,
			"spec.destination.credentials has neither secretName nor podIdentity, as in objects of an earlier version; delete the transfer and apply it again"}
	case name == "":
		return nil
	}
	if p.secret == nil {
		return &violation{v1alpha1.ReasonSecretNotFound, fmt.Sprintf(
			"the credentials Secret %q does not exist in namespace %q; create it with the keys %s and %s",
			name, at.Namespace, v1alpha1.SecretKeyAccessKeyID, v1alpha1.SecretKeySecretAccessKey)}
	}
	for _, key := range []string{v1alpha1.SecretKeyAccessKeyID, v1alpha1.SecretKeySecretAccessKey} {
		if len(p.secret.Data[key]) == 0 {
			return &violation{v1alpha1.ReasonSecretIncomplete, fmt.Sprintf(
				"the credentials Secret %q has no key %s; add it", name, key)}
		}
	}
	return nil
}

func caBundleUsable(at *workload.Workload, p prerequisites) *violation {
	ref := at.Location.CABundle
	switch {
	case ref == nil:
		return nil
	case p.caBundle == nil:
		return &violation{v1alpha1.ReasonCABundleNotFound, fmt.Sprintf(
			"the CA bundle ConfigMap %q does not exist in namespace %q; create it", ref.ConfigMapName, at.Namespace)}
	case p.caBundle.Data[caKey(ref)] == "":
		return &violation{v1alpha1.ReasonCABundleNotFound, fmt.Sprintf(
			"the CA bundle ConfigMap %q has no key %q; add it", ref.ConfigMapName, caKey(ref))}
	}
	return nil
}

func caKey(b *v1alpha1.CABundle) string {
	if b.Key == "" {
		return "ca.crt"
	}
	return b.Key
}

func serviceAccountExists(at *workload.Workload, p prerequisites) *violation {
	ref := at.Location.Credentials.PodIdentity
	if ref == nil || p.serviceAccount != nil {
		return nil
	}
	return &violation{v1alpha1.ReasonServiceAccountNotFound, fmt.Sprintf(
		"the workers' ServiceAccount %q does not exist in namespace %q; create it",
		ref.ServiceAccountName, at.Namespace)}
}
