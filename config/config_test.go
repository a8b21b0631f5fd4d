// Package config_test checks the manifests against a real API server.
package config_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/kittest"
)

const namespace = "default"

// TestWorkerMayWriteItsOwnReportOnly installs config/default and acts as worker pods.
func TestWorkerMayWriteItsOwnReportOnly(t *testing.T) {
	cluster, admin := install(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cargoship-worker"}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cargoship-worker"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cargoship-worker"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account.Name}},
	}
	create(t, admin, account, binding)
	own, other := pod("own", account), pod("other", account)
	create(t, admin, own, other)
	create(t, admin, lease("own", string(own.UID)), lease("other", string(other.UID)), lease("successor", "another-uid"))
	worker := actAs(t, cluster.Config, admin, account, own)

	awaitPolicy(t, admin)
	if err := report(t.Context(), worker, "own"); err != nil {
		t.Errorf("a worker's report on its own lease: %v, want no error", err)
	}
	granted := &v1alpha1.PrefixLease{}
	if err := read(t.Context(), worker, "own", granted); err != nil || granted.Spec.PodUID != string(own.UID) {
		t.Errorf("a worker reads of its own lease %+v, %v", granted.Spec, err)
	}
	hidden := &v1alpha1.PrefixLease{}
	if err := read(t.Context(), worker, "other", hidden); !apierrors.IsForbidden(err) || hidden.Spec.PodUID != "" {
		t.Errorf("a worker reads of another's lease %+v, %v, want Forbidden", hidden.Spec, err)
	}
	for _, list := range []client.ObjectList{&v1alpha1.PrefixLeaseList{}, &v1alpha1.ArchiveTransferList{}} {
		if err := worker.List(t.Context(), list, client.InNamespace(namespace)); !apierrors.IsForbidden(err) {
			t.Errorf("a worker lists %T: %v, want Forbidden", list, err)
		}
	}
	for name, what := range map[string]struct {
		client client.Client
		lease  string
	}{
		"a worker's report on another's lease":       {worker, "other"},
		"an administrator's report":                  {admin, "own"},
		"a report from a pod with an outdated lease": {actAs(t, cluster.Config, admin, account, successor(t, admin, account)), "successor"},
		"a worker's report on a third lease":         {worker, "successor"},
	} {
		if err := report(t.Context(), what.client, what.lease); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want Forbidden", name, err)
		}
	}
	granted.Spec.Sequence++
	if err := worker.Update(t.Context(), granted); !apierrors.IsForbidden(err) {
		t.Errorf("a worker's change of its own grant: %v, want Forbidden", err)
	}
	if err := worker.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "any"}, &corev1.Secret{}); !apierrors.IsForbidden(err) {
		t.Errorf("a worker's look at a Secret: %v, want Forbidden", err)
	}
}

// successor makes a pod of the name of a lease that was given to an earlier pod.
func successor(t *testing.T, admin client.Client, account *corev1.ServiceAccount) *corev1.Pod {
	t.Helper()
	p := pod("successor", account)
	create(t, admin, p)
	return p
}

// install starts a control plane with everything of config/default in it.
func install(t *testing.T) (*kit.Cluster, client.Client) {
	t.Helper()
	cluster, dir := kittest.ControlPlane(t)
	kubectl := filepath.Join(dir, assets.Kubectl)
	cmd := exec.CommandContext(t.Context(), kubectl, "--kubeconfig="+cluster.Kubeconfig, "apply", "--server-side", "-k", "default")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install config/default: %v\n%s", err, bytes.TrimSpace(out))
	}
	cmd = exec.CommandContext(t.Context(), kubectl, "--kubeconfig="+cluster.Kubeconfig, "wait", "--for=condition=Established", "crd", "--all")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("wait for the types: %v\n%s", err, bytes.TrimSpace(out))
	}
	return cluster, newClient(t, cluster.Config)
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// actAs returns a client with the token of a pod.
func actAs(t *testing.T, server *rest.Config, admin client.Client, account *corev1.ServiceAccount, p *corev1.Pod) client.Client {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID},
	}}
	if err := admin.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(server)
	config.BearerToken = request.Status.Token
	return newClient(t, config)
}

// awaitPolicy waits until the API server enforces the policy, which it takes in a
// moment after it was made.
func awaitPolicy(t *testing.T, admin client.Client) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err := report(t.Context(), admin, "other"); err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
			return
		}
	}
	t.Fatal("waited 30 s in vain for the policy to be enforced")
}

// report writes a status, as a worker does.
func report(ctx context.Context, c client.Client, name string) error {
	object := &v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{"instance":"%d"}}`, time.Now().UnixNano()))
	return c.Status().Patch(ctx, object, patch)
}

// read patches nothing, as a worker does to see its lease.
func read(ctx context.Context, c client.Client, name string, into *v1alpha1.PrefixLease) error {
	into.Namespace, into.Name = namespace, name
	return c.Status().Patch(ctx, into, client.RawPatch("application/merge-patch+json", []byte("{}")))
}

func pod(name string, account *corev1.ServiceAccount) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: account.Name,
			Containers:         []corev1.Container{{Name: "worker", Image: "none"}},
		},
	}
}

func lease(name, podUID string) *v1alpha1.PrefixLease {
	object := &v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	object.Spec.TransferName = "transfer"
	object.Spec.PodUID = podUID
	object.Spec.Epoch, object.Spec.Sequence = 1, 1
	object.Spec.LeaseDuration = metav1.Duration{Duration: 20 * time.Second}
	object.Spec.ReportInterval = metav1.Duration{Duration: 2 * time.Second}
	object.Spec.Mode = v1alpha1.LeaseActive
	return object
}

func create(t *testing.T, c client.Client, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatalf("create %T %s: %v", object, object.GetName(), err)
		}
	}
}
