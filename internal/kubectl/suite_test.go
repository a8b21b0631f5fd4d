package kubectl

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/cli"
)

// world is an API server without the CRDs at first.
type world struct {
	env    *envtest.Environment
	api    client.Client
	config string // the administrator's kubeconfig
}

var server world

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	env := &envtest.Environment{}
	config, err := env.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting an API server; `make test` sets KUBEBUILDER_ASSETS to its programs:", err)
		return 1
	}
	defer env.Stop() //nolint:errcheck // The process ends.
	dir, err := os.MkdirTemp("", "kubectl-cargoship-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // It is a test's.
	server = world{env: env, config: filepath.Join(dir, "kubeconfig")}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, rbacv1.AddToScheme, v1alpha1.AddToScheme} {
		err = cmpOr(err, add(scheme))
	}
	server.api, err = client.New(config, client.Options{Scheme: scheme})
	if err = cmpOr(err, os.WriteFile(server.config, env.KubeConfig, 0o600)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func cmpOr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// installed makes the API server serve our kinds.
func installed(t *testing.T) {
	t.Helper()
	_, err := envtest.InstallCRDs(server.env.Config, envtest.CRDInstallOptions{Paths: []string{"../../config/crd/bases"}, ErrorIfPathMissing: true})
	if err != nil {
		t.Fatal(err)
	}
}

// namespace makes one for a test.
func namespace(t *testing.T) string {
	t.Helper()
	installed(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "kubectl-"}}
	must(t, server.api.Create(t.Context(), ns))
	return ns.Name
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// result is what a command has printed, and how it has ended.
type result struct {
	stdout, stderr string
	line           string // the error
	code           int
}

// call runs the command line as the plugin does.
func call(ctx context.Context, t *testing.T, args ...string) result {
	t.Helper()
	return callWith(ctx, t, server.config, args...)
}

func callWith(ctx context.Context, t *testing.T, kubeconfig string, args ...string) result {
	t.Helper()
	commands := New()
	root := cli.NewRoot("kubectl-cargoship", "test", commands.All()...)
	commands.AddFlags(root)
	var stdout, stderr bytes.Buffer
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(append([]string{"--kubeconfig", kubeconfig}, args...))
	cmd, err := root.ExecuteContextC(ctx)
	r := result{stdout: stdout.String(), stderr: stderr.String()}
	if err != nil {
		r.line, r.code = cli.Verdict(ctx, cmd, err)
	}
	return r
}

// transfer creates one, with a status if there is one.
func transfer(t *testing.T, ns, name string, status *v1alpha1.ArchiveTransferStatus) *v1alpha1.ArchiveTransfer {
	t.Helper()
	at := &v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"team": name}}}
	at.Spec.Source.PersistentVolumeClaim = &v1alpha1.ClaimSource{ClaimName: "photos"}
	at.Spec.Destination = v1alpha1.Destination{Location: v1alpha1.Location{Bucket: "archive", Credentials: v1alpha1.Credentials{SecretName: "s3"}}}
	must(t, server.api.Create(t.Context(), at))
	if status != nil {
		at.Status = *status
		must(t, server.api.Status().Update(t.Context(), at))
	}
	return at
}

func status(conditions ...metav1.Condition) *v1alpha1.ArchiveTransferStatus {
	return &v1alpha1.ArchiveTransferStatus{ObservedGeneration: ptr.To(int64(1)), Conditions: conditions}
}

func is(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: reason, LastTransitionTime: metav1.NewTime(time.Now())}
}

// lease grants a transfer's worker 8 requests in flight; the worker says what limits it.
func lease(t *testing.T, at *v1alpha1.ArchiveTransfer, pod string, by v1alpha1.Bottleneck) {
	t.Helper()
	l := &v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Namespace: at.Namespace, Name: pod,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(at, v1alpha1.GroupVersion.WithKind("ArchiveTransfer"))}}}
	l.Spec = v1alpha1.PrefixLeaseSpec{TransferName: at.Name, PodUID: pod, Epoch: 1, Sequence: 1, Mode: v1alpha1.LeaseActive,
		LeaseDuration: metav1.Duration{Duration: 20 * time.Second}, ReportInterval: metav1.Duration{Duration: 2 * time.Second},
		Prefixes: []v1alpha1.PrefixGrant{{Name: "a", Window: ptr.To(int32(8))}}}
	must(t, server.api.Create(t.Context(), l))
	l.Status = v1alpha1.PrefixLeaseStatus{Instance: "i", Prefixes: []v1alpha1.PrefixReport{{Name: "a", LimitedBy: by}}}
	must(t, server.api.Status().Update(t.Context(), l))
}

// asUser is a kubeconfig of somebody with the rules in a namespace.
func asUser(t *testing.T, ns string, rules ...rbacv1.PolicyRule) string {
	t.Helper()
	user, err := server.env.AddUser(envtest.User{Name: "user-of-" + ns}, nil)
	must(t, err)
	if len(rules) > 0 {
		role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "user"}, Rules: rules}
		must(t, server.api.Create(t.Context(), role))
		must(t, server.api.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "user"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "user"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "user-of-" + ns}}}))
	}
	text, err := user.KubeConfig()
	must(t, err)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(file, text, 0o600))
	return file
}
