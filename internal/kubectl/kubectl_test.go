package kubectl

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// contains fails unless a text holds all of the words.
func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is not in:\n%s", word, text)
		}
	}
}

// served is an API server that serves a version of our group, "" for none, and no resources.
func served(t *testing.T, version string) (kubeconfig string) {
	t.Helper()
	groups := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroupList"}}
	if version != "" {
		v := metav1.GroupVersionForDiscovery{GroupVersion: v1alpha1.GroupVersion.Group + "/" + version, Version: version}
		groups.Groups = append(groups.Groups, metav1.APIGroup{Name: v1alpha1.GroupVersion.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
	}
	mux := http.NewServeMux() // which answers 404 page not found, as an API server does
	mux.HandleFunc("GET /apis", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(groups)
	})
	api := httptest.NewServer(mux)
	t.Cleanup(api.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: [{name: c, cluster: {server: %q}}]}`, api.URL), 0o600))
	return kubeconfig
}

func TestAnotherVersionOrNone(t *testing.T) {
	for version, want := range map[string]string{
		"":         "CargoShip is not installed in this cluster",
		"v1beta1":  "the cluster serves version v1beta1 of the API, this command speaks v1alpha1",
		"v1alpha1": "is older than this command and lacks the resource",
	} {
		for _, args := range [][]string{{"status"}, {"explain", "photos"}} {
			r := callWith(t.Context(), t, served(t, version), args...)
			contains(t, r.line, want, "in namespace default")
			if r.code != 1 {
				t.Errorf("exit code %d", r.code)
			}
		}
	}
}

func TestNoCluster(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	empty := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(empty, []byte("apiVersion: v1\nkind: Config\n"), 0o600))
	contains(t, callWith(t.Context(), t, empty, "status").line, "no kubeconfig names one", "--kubeconfig")
	contains(t, callWith(t.Context(), t, empty+".missing", "status").line, "find the cluster", "kubeconfig.missing")
	contains(t, callWith(t.Context(), t, empty, "status", "--server", "http://127.0.0.1:9").line, "cannot reach the cluster at http://127.0.0.1:9")
	exec := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(exec, []byte(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "https://127.0.0.1:9"}}], users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: Never}}}]}`), 0o600))
	contains(t, callWith(t.Context(), t, exec, "status").line, "no-such-plugin")
}

func TestStatus(t *testing.T) {
	ns := namespace(t)
	photos := transfer(t, ns, "photos", status(is(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonTransferring)))
	lease(t, photos, "photos-workers-0", v1alpha1.LimitedBySource)
	transfer(t, ns, "done", status(is(v1alpha1.ConditionComplete, metav1.ConditionTrue, v1alpha1.ReasonComplete)))

	r := call(t.Context(), t, "status", "-n", ns)
	contains(t, r.stdout, "photos   Transferring", "Source", "done     Complete")
	r = call(t.Context(), t, "status", "-n", ns, "-l", "team=done")
	if strings.Contains(r.stdout, "photos ") || !strings.Contains(r.stdout, "done ") {
		t.Errorf("a selector gives\n%s", r.stdout)
	}
	contains(t, call(t.Context(), t, "status", "-A").stdout, "NAMESPACE", ns)
	contains(t, call(t.Context(), t, "status", "-n", ns, "photos").stdout, ns+"/photos  Transferring", "limited by Source", "photos-workers-0")
	contains(t, call(t.Context(), t, "status", "-n", ns, "-o", "name").stdout, "archivetransfer.transfer.cargoship.dev/done\narchivetransfer.transfer.cargoship.dev/photos\n")
	contains(t, call(t.Context(), t, "status", "-n", ns, "-o", "wide").stdout, "SOURCE", "pvc/photos", "s3://archive")
	var list struct{ Items []v1alpha1.ArchiveTransfer }
	must(t, json.Unmarshal([]byte(call(t.Context(), t, "status", "-n", ns, "-o", "json").stdout), &list))
	if len(list.Items) != 2 || list.Items[1].Name != "photos" || list.Items[1].Kind != "ArchiveTransfer" {
		t.Errorf("as JSON: %+v", list)
	}
	contains(t, call(t.Context(), t, "status", "-n", ns, "photos", "-o", "yaml").stdout, "kind: ArchiveTransfer", "claimName: photos")
	contains(t, call(t.Context(), t, "status", "-n", ns, "nothing").line, "get archivetransfer nothing in namespace "+ns+": not found")
	contains(t, call(t.Context(), t, "status", "-n", "default").stderr, "no transfers found")
	contains(t, call(t.Context(), t, "__complete", "status", "-n", ns, "p").stdout, "photos\tTransferring")
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"status", "-A", "photos"}, {"status", "-w", "-o", "json"}, {"status", "-o", "xml"}, {"status", "-l", "a in"},
		{"explain"}, {"suspend"}, {"retry", "a", "b"}, {"status", "a", "b"},
	} {
		if r := call(t.Context(), t, args...); r.code != 2 || strings.Contains(r.line, "\n") {
			t.Errorf("%q ends with %d: %s", args, r.code, r.line)
		}
	}
}

// Without rights, the verb and the resource are named.
func TestNoRights(t *testing.T) {
	ns := namespace(t)
	transfer(t, ns, "photos", nil)
	group := []string{v1alpha1.GroupVersion.Group}
	nobody := asUser(t, ns)
	contains(t, callWith(t.Context(), t, nobody, "status", "-n", ns).line, "not allowed: ask for the verb list on archivetransfers.transfer.cargoship.dev")
	ns = namespace(t)
	transfer(t, ns, "photos", status(is(v1alpha1.ConditionFailed, metav1.ConditionTrue, v1alpha1.ReasonFilesFailed)))
	transfer(t, ns, "other", nil)
	reader := asUser(t, ns, rbacv1.PolicyRule{APIGroups: group, Resources: []string{"archivetransfers", "archiverestores"}, Verbs: []string{"get", "list"}})
	contains(t, callWith(t.Context(), t, reader, "status", "-n", ns).line, "verb list on prefixleases.transfer.cargoship.dev")
	contains(t, callWith(t.Context(), t, reader, "suspend", "-n", ns, "other").line, "verb patch on archivetransfers.transfer.cargoship.dev")
	contains(t, callWith(t.Context(), t, reader, "retry", "-n", ns, "photos").line, "nothing was changed", "verb create on archivetransfers.transfer.cargoship.dev")
	contains(t, call(t.Context(), t, "status", "-n", ns, "photos").stdout, "Failed")
}

func TestSuspendAndResume(t *testing.T) {
	ns := namespace(t)
	at := transfer(t, ns, "photos", status(is(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonTransferring)))
	suspended := func() bool {
		must(t, server.api.Get(t.Context(), client.ObjectKeyFromObject(at), at))
		return *at.Spec.Suspend
	}
	contains(t, call(t.Context(), t, "suspend", "-n", ns, "photos").stdout, "archivetransfer photos suspended")
	if !suspended() {
		t.Error("it is not suspended")
	}
	contains(t, call(t.Context(), t, "suspend", "-n", ns, "photos").stdout, "was already suspended")
	contains(t, call(t.Context(), t, "explain", "-n", ns, "photos", "-o", "name").stdout, "Suspended")
	contains(t, call(t.Context(), t, "resume", "-n", ns, "photos").stdout, "archivetransfer photos resumed")
	if suspended() {
		t.Error("it is suspended still")
	}
	r := call(t.Context(), t, "suspend", "-n", ns, "nothing", "photos")
	contains(t, r.line, "not found")
	if r.code != 1 || !suspended() {
		t.Errorf("code %d; one that does not exist keeps another from being suspended", r.code)
	}
	at.Status.Conditions = []metav1.Condition{is(v1alpha1.ConditionFailed, metav1.ConditionTrue, v1alpha1.ReasonFilesFailed)}
	must(t, server.api.Status().Update(t.Context(), at))
	contains(t, call(t.Context(), t, "resume", "-n", ns, "photos").line, "has ended", "kubectl cargoship explain photos")
}

func TestRetry(t *testing.T) {
	ns := namespace(t)
	get := func(name string) *v1alpha1.ArchiveTransfer {
		at := &v1alpha1.ArchiveTransfer{}
		must(t, server.api.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, at))
		return at
	}
	failed := transfer(t, ns, "failed", status(is(v1alpha1.ConditionFailed, metav1.ConditionTrue, v1alpha1.ReasonFilesFailed)))
	contains(t, call(t.Context(), t, "retry", "-n", ns, "failed", "--changed-only").stdout, "runs again")
	again := get("failed")
	if again.UID == failed.UID || again.Labels["team"] != "failed" || again.Spec.Source.PersistentVolumeClaim.ClaimName != "photos" || again.Spec.Sync != v1alpha1.SyncSizeAndTime {
		t.Errorf("it was created as %+v", again)
	}
	transfer(t, ns, "blocked", status(is(v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound)))
	contains(t, call(t.Context(), t, "retry", "-n", ns, "blocked").stdout, "is checked again")
	if get("blocked").Annotations[retriedAt] == "" {
		t.Error("nothing tells the manager")
	}
	transfer(t, ns, "moving", status(is(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonTransferring)))
	contains(t, call(t.Context(), t, "retry", "-n", ns, "moving").line, "is progressing: there is nothing to retry")
	transfer(t, ns, "done", status(is(v1alpha1.ConditionComplete, metav1.ConditionTrue, v1alpha1.ReasonComplete)))
	contains(t, call(t.Context(), t, "retry", "-n", ns, "done").line, "is complete")
}

// A transfer that the manager does not let go of is not lost.
func TestRetryKeepsTheManifest(t *testing.T) {
	ns := namespace(t)
	at := transfer(t, ns, "stuck", status(is(v1alpha1.ConditionFailed, metav1.ConditionTrue, v1alpha1.ReasonFilesFailed)))
	at.Finalizers = []string{v1alpha1.Finalizer}
	must(t, server.api.Update(t.Context(), at))
	t.Setenv("TMPDIR", t.TempDir())
	r := call(t.Context(), t, "retry", "-n", ns, "stuck", "--timeout", "1s")
	contains(t, r.line, "was deleted and not created again", "the manager has not removed its finalizer", "kubectl create -f ")
	_, file, _ := strings.Cut(r.line, "kubectl create -f ")
	text, err := os.ReadFile(strings.Trim(file, "`"))
	must(t, err)
	contains(t, string(text), "kind: ArchiveTransfer", "name: stuck", "claimName: photos")
	must(t, server.api.Get(t.Context(), client.ObjectKeyFromObject(at), at))
	at.Finalizers = nil
	must(t, server.api.Update(t.Context(), at))
}

// In a pipe each change is a line, and one that is gone ends it.
func TestWatchInAPipe(t *testing.T) {
	ns := namespace(t)
	at := transfer(t, ns, "photos", status(is(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonPlanning)))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	go func() {
		time.Sleep(watchInterval)
		_ = server.api.Delete(ctx, at)
	}()
	r := call(ctx, t, "status", "-n", ns, "-w", "photos")
	contains(t, r.stdout, ns+"/photos  Planning")
	contains(t, r.line, "not found")
	if n := strings.Count(r.stdout, "\n"); n != 1 {
		t.Errorf("%d lines without a change:\n%s", n, r.stdout)
	}
}

func TestExplain(t *testing.T) {
	ns := namespace(t)
	at := transfer(t, ns, "photos", status(is(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonTransferring)))
	lease(t, at, "photos-workers-0", v1alpha1.LimitedBySource)
	lease(t, at, "photos-workers-1", v1alpha1.LimitedBySource)
	contains(t, call(t.Context(), t, "explain", "-n", ns, "photos").stdout, "photos: Source. ", "16 requests in flight; workers say Source 16")
	contains(t, call(t.Context(), t, "explain", "-n", ns, "photos", "-o", "json").stdout, `"limitedBy": "Source"`, `"evidence": [`)
}

// A restore is shown and suspended as a transfer is, by restore/NAME.
func TestRestores(t *testing.T) {
	ns := namespace(t)
	r := &v1alpha1.ArchiveRestore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "photos"}}
	r.Spec.From.TransferRef = &v1alpha1.TransferReference{Name: "photos"}
	r.Spec.To.PersistentVolumeClaim.ClaimName = "back"
	must(t, server.api.Create(t.Context(), r))
	transfer(t, ns, "photos", nil)
	contains(t, call(t.Context(), t, "status", "-n", ns, "-o", "name").stdout, "archiverestore.transfer.cargoship.dev/photos\narchivetransfer.transfer.cargoship.dev/photos\n")
	contains(t, call(t.Context(), t, "status", "-n", ns, "restore/photos").stdout, ns+"/restore/photos", "pvc/back")
	contains(t, call(t.Context(), t, "suspend", "-n", ns, "restore/photos").stdout, "archiverestore photos suspended")
	must(t, server.api.Get(t.Context(), client.ObjectKeyFromObject(r), r))
	if !*r.Spec.Suspend {
		t.Error("it is not suspended")
	}
	contains(t, call(t.Context(), t, "retry", "-n", ns, "restore/photos").line, "this command is for transfers")
	contains(t, call(t.Context(), t, "explain", "-n", ns, "restore/photos").stdout, "restore/photos: Suspended. ", "kubectl cargoship resume restore/photos")
}
