package kubectl

import (
	"context"
	"net"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// sourceOf looks at a namespace with the rights of a kubeconfig.
func sourceOf(t *testing.T, kubeconfig, ns string) uiSource {
	t.Helper()
	a := newAccess()
	a.flags.KubeConfig = &kubeconfig
	c, err := a.open()
	must(t, err)
	return uiSource{c, ns}
}

func TestThePageSeesWhatIsThere(t *testing.T) {
	ns := namespace(t)
	at := transfer(t, ns, "photos", status(is(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonTransferring)))
	lease(t, at, "photos-workers-0", v1alpha1.LimitedByWindow)
	event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "e"}, Reason: "Started",
		InvolvedObject: corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: workload.KindTransfer, Namespace: ns, Name: at.Name, UID: at.UID}}
	must(t, server.api.Create(t.Context(), event))
	look := sourceOf(t, server.config, ns).Look(t.Context())
	if len(look.Problems) > 0 || len(look.Unread) > 0 {
		t.Fatalf("problems: %q, unread: %q", look.Problems, look.Unread)
	}
	if len(look.Items) != 1 || look.Items[0].Run.Name != "photos" || len(look.Items[0].Leases) != 1 || look.Items[0].Answer.LimitedBy != v1alpha1.LimitWindow {
		t.Errorf("it sees %+v", look.Items)
	}
	if len(look.Events) != 1 || look.Events[0].Reason != "Started" {
		t.Errorf("events: %+v", look.Events)
	}
}

// What somebody may not read is named by verb and resource; the rest is shown.
func TestThePageNamesMissingRights(t *testing.T) {
	ns := namespace(t)
	transfer(t, ns, "photos", nil)
	user := asUser(t, ns, rbacv1.PolicyRule{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"archivetransfers"}, Verbs: []string{"list"}})
	look := sourceOf(t, user, ns).Look(t.Context())
	if len(look.Items) != 1 {
		t.Errorf("it sees %+v", look.Items)
	}
	if len(look.Unread) != 1 || look.Unread[0] != workload.KindRestore {
		t.Errorf("unread: %q", look.Unread)
	}
	for _, resource := range []string{"archiverestores.transfer.cargoship.dev", "prefixleases.transfer.cargoship.dev", "events", "destinationprofiles.transfer.cargoship.dev"} {
		if text := strings.Join(look.Problems, "\n"); !strings.Contains(text, "ask for the verb list on "+resource) {
			t.Errorf("nothing is said of %s:\n%s", resource, text)
		}
	}
	if err := sourceOf(t, user, ns).check(t.Context()); err != nil {
		t.Errorf("it does not begin: %v", err)
	}
}

func TestAPageThatCannotBeServed(t *testing.T) {
	ns := namespace(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close() //nolint:errcheck // It is a test's.
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for want, args := range map[string][]string{
		"it is taken: choose another with --port": {"ui", "-n", ns, "--port", port},
		"must be from 0 to 65535":                 {"ui", "-n", ns, "--port", "65536"},
		"cannot reach the cluster":                {"ui", "-n", ns, "--server", "http://127.0.0.1:1"},
	} {
		r := call(t.Context(), t, args...)
		if r.code == 0 || !strings.Contains(r.line, want) || strings.Contains(r.line, "\n") || r.stdout != "" {
			t.Errorf("%q: exit code %d, %q, want %q", args, r.code, r.line, want)
		}
	}
}

// cut is an output that ends its command with the first line.
type cut struct {
	end  context.CancelFunc
	text strings.Builder
}

func (c *cut) Write(p []byte) (int, error) {
	defer c.end()
	return c.text.Write(p)
}

func TestAnInterruptEndsThePageWell(t *testing.T) {
	ns := namespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &cut{end: cancel}
	a := newAccess()
	a.flags.KubeConfig = &server.config
	cmd := newUICommand(a)
	cmd.SetArgs([]string{"-A"})
	cmd.SetOut(out)
	if err := cmd.ExecuteContext(ctx); err != nil {
		t.Errorf("interrupted in %s, it fails: %v", ns, err)
	}
	if !strings.HasPrefix(out.text.String(), "http://127.0.0.1:") {
		t.Errorf("it prints %q", out.text.String())
	}
}
