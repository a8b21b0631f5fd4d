package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/upload"
)

// envWorker makes the test binary a worker process; it holds the Site as JSON.
const envWorker = "CARGOSHIP_TEST_WORKER"

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // of envtest
	if text := os.Getenv(envWorker); text != "" {
		os.Exit(workerProcess(text))
	}
	os.Exit(m.Run())
}

// Exit codes of a worker process.
const (
	exitDrained = iota
	exitFailed
	exitLeaseGone
	exitTerminated
)

func workerProcess(text string) int {
	var site Site
	if err := json.Unmarshal([]byte(text), &site); err != nil {
		panic(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		panic(err)
	}
	leases, err := NewLeaseClient(config, types.NamespacedName{Namespace: "default", Name: "w-0"})
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err = site.Serve(ctx, leases, "pod-1", fmt.Sprintf("process-%d", os.Getpid()), logger)
	switch {
	case err == nil:
		return exitDrained
	case errors.Is(err, ErrTerminated):
		return exitTerminated
	case errors.Is(err, ErrLeaseGone):
		return exitLeaseGone
	default:
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
}

// cluster is a real API server with the CRDs, and a worker's access to it.
type cluster struct {
	client.Client
	admin      *rest.Config
	kubeconfig string
}

func startCluster(t *testing.T) *cluster {
	env := &envtest.Environment{
		BinaryAssetsDirectory: programs(t),
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	config, err := env.Start()
	t.Cleanup(func() { _ = env.Stop() })
	if err != nil {
		t.Fatal(err)
	}
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
	user, err := env.AddUser(envtest.User{Name: "worker"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	k := &cluster{Client: c, admin: config, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	if err := os.WriteFile(k.kubeconfig, kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	k.allow(t)
	return k
}

// allow gives the worker what it needs, and no more: to patch the status of its
// own lease.
func (k *cluster) allow(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "worker", Namespace: "default"}
	rule := func(resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{resource},
			ResourceNames: []string{"w-0"}, Verbs: verbs,
		}
	}
	for _, o := range []client.Object{
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			rule("prefixleases/status", "patch"),
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "worker"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "worker"}},
		},
	} {
		if err := k.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// start starts a worker process, which ends with the test at the latest.
func (k *cluster) start(t *testing.T, site Site) *exec.Cmd {
	text, err := json.Marshal(site)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{envWorker + "=" + string(text), "KUBECONFIG=" + k.kubeconfig}
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

func (k *cluster) lease(t *testing.T) *v1alpha1.PrefixLease {
	lease := &v1alpha1.PrefixLease{}
	if err := k.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "w-0"}, lease); err != nil {
		t.Fatal(err)
	}
	return lease
}

// manage has the manager answer every report, until done says so.
func (k *cluster) manage(t *testing.T, m *manager, done func(v1alpha1.PrefixLeaseStatus) bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		lease := k.lease(t)
		if done(lease.Status) {
			return
		}
		n := lease.Status.ReportSequence
		if n == nil || lease.Spec.AcknowledgedReport != nil && *lease.Spec.AcknowledgedReport >= *n {
			continue
		}
		lease.Spec = m.take(lease.Status)
		if err := k.Update(t.Context(), lease); err != nil && !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
	}
	t.Fatalf("the worker came no further than %+v", k.lease(t).Status)
}

func exitCode(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	select {
	case <-ended:
		return cmd.ProcessState.ExitCode()
	case <-time.After(2 * time.Minute):
		t.Fatal("the worker does not end")
		return 0
	}
}

// One worker process after another holds the lease of the same pod: killed in the
// middle, told to stop in the middle, and drained at the end.
func TestWorkerProcesses(t *testing.T) {
	s, k := startS3(t), startCluster(t)
	dir, want := makeTree(t)
	site := siteAt(t, s, dir)
	m := newManager(1, "pod-1")
	m.window = 1

	killed := k.start(t, site)
	time.Sleep(300 * time.Millisecond) // it waits for a lease that is not there yet
	lease := &v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Name: "w-0", Namespace: "default"}, Spec: m.spec}
	if err := k.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	k.manage(t, m, func(v1alpha1.PrefixLeaseStatus) bool { return len(m.ended) >= 1 })
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	first := k.lease(t).Status
	if first.Instance != fmt.Sprintf("process-%d", killed.Process.Pid) {
		t.Errorf("instance %q", first.Instance)
	}

	terminated := k.start(t, site)
	k.manage(t, m, func(r v1alpha1.PrefixLeaseStatus) bool { return r.Instance != first.Instance })
	second := k.lease(t).Status
	if *second.ReportSequence <= *first.ReportSequence {
		t.Errorf("report %d of the second process follows %d of the first", *second.ReportSequence, *first.ReportSequence)
	}
	k.manage(t, m, func(r v1alpha1.PrefixLeaseStatus) bool { return len(m.ended) >= 2 })
	if err := terminated.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// A fast machine may have ended every archive by now, and the process its work.
	if code := exitCode(t, terminated); code != exitTerminated && (code != exitDrained || !m.done()) {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if status, _ := condition(k.lease(t).Status, v1alpha1.LeaseConditionDrained); status != metav1.ConditionTrue {
		t.Errorf("Drained is %q after SIGTERM", status)
	}

	m.window = 8
	drained := k.start(t, site)
	k.manage(t, m, func(r v1alpha1.PrefixLeaseStatus) bool {
		status, _ := condition(r, v1alpha1.LeaseConditionDrained)
		return m.done() && status == metav1.ConditionTrue && r.Instance == fmt.Sprintf("process-%d", drained.Process.Pid)
	})
	if code := exitCode(t, drained); code != exitDrained {
		t.Errorf("exit code %d after the drain", code)
	}
	if err := site.Finish(t.Context(), FinishOptions{}, logTo(t)); err != nil {
		t.Fatal(err)
	}
	wantStored(t, s, want)
	if done, failed, _ := m.totals(); done.files != int64(len(want)) || failed.files != 1 {
		t.Errorf("%d files done and %d failed, want %d and 1", done.files, failed.files, len(want))
	}
}

func TestWorkerProcessWhoseLeaseIsDeleted(t *testing.T) {
	s, k := startS3(t), startCluster(t)
	site := siteAt(t, s, t.TempDir())
	m := newManager(1, "pod-1")
	lease := &v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Name: "w-0", Namespace: "default"}, Spec: m.spec}
	if err := k.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	cmd := k.start(t, site)
	k.manage(t, m, func(r v1alpha1.PrefixLeaseStatus) bool { return r.ReportSequence != nil })
	if err := k.Delete(t.Context(), k.lease(t)); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, cmd); code != exitLeaseGone {
		t.Errorf("exit code %d", code)
	}
}

func TestReport(t *testing.T) {
	k := startCluster(t)
	m := newManager(1, "pod-1")
	lease := &v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Name: "w-0", Namespace: "default"}, Spec: m.spec}
	if err := k.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	leases, err := NewLeaseClient(k.admin, client.ObjectKeyFromObject(lease))
	if err != nil {
		t.Fatal(err)
	}
	full := fullReport()
	got, err := leases.Report(t.Context(), full)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full, got.Status); diff != "" || got.Spec.PodUID != "pod-1" {
		t.Errorf("the lease after the report (-want +got):\n%s\n%+v", diff, got.Spec)
	}
	// What a report no longer tells of must not stay from the one before.
	if got, err = leases.Report(t.Context(), v1alpha1.PrefixLeaseStatus{Instance: "two"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1alpha1.PrefixLeaseStatus{Instance: "two"}, got.Status); diff != "" {
		t.Errorf("the lease after the next report (-want +got):\n%s", diff)
	}
	read, err := leases.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, read); diff != "" {
		t.Errorf("reading changed the lease (-before +after):\n%s", diff)
	}
	if err := k.Delete(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Read(t.Context()); !apierrors.IsNotFound(err) {
		t.Errorf("reading a deleted lease: %v", err)
	}
	if _, err := leases.Report(t.Context(), full); !apierrors.IsNotFound(err) {
		t.Errorf("a report into a deleted lease: %v", err)
	}
}

// fullReport is the largest report there can be, with every field set.
func fullReport() v1alpha1.PrefixLeaseStatus {
	stats := upload.PrefixStats{
		Started: 1, Accepted: 1, Hedged: 1, Bytes: 1, Busy: time.Second, MaxInFlight: 1, LimitedBy: upload.BySource,
		Measured: 1, AttemptP50: time.Second, ServiceP50: time.Second, ServiceP99: time.Second,
		Newest: upload.Sample{Grant: upload.Grant{Epoch: 1, Sequence: 2}}, Before: upload.Sample{Grant: upload.Grant{Epoch: 1, Sequence: 1}, Started: 1, Accepted: 1},
	}
	r := stalled("one", 7, &s3.Error{Class: s3.Permission, Reason: "A bad-reason, 1", Op: "put", Key: "bad\xff", Err: errors.New(strings.Repeat("ä", 600))})
	r.Conditions[0].LastTransitionTime = metav1.Unix(1000, 0)
	r.ObservedEpoch, r.ObservedSequence, r.MaxInFlight = new(int64(1)), new(int64(2)), new(int32(3))
	r.ChecksumAlgorithm = s3.ChecksumCRC32C
	plan := planning{known: &archive.Plan{Complete: true}}
	for i := range maxReportedPrefixes {
		stats.Prefix = fmt.Sprintf("prefix %d", i)
		r.Prefixes = append(r.Prefixes, prefixReport(stats))
		plan.known.Prefixes = append(plan.known.Prefixes, archive.PlannedPrefix{Name: stats.Prefix, Archives: 1, Files: 2, Bytes: 3})
	}
	r.Plan = plan.report()
	a := attempt{members: []archive.Member{
		{Outcome: archive.Done, Size: 1},
		{Outcome: archive.Failed, Size: 2, Reason: "Changed", Path: strings.Repeat("\xff", 4000)},
		{Outcome: archive.Skipped, Reason: "Socket"},
	}}
	for i := range int64(protocol.MaxFinished) {
		a.prefix, a.number = "prefix", i
		r.Finished = append(r.Finished, a.result())
	}
	return r
}
