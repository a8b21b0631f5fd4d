package nodeagent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// The image that stands for this test binary, run as a container.
const testImage = "test.example/pod:1"

// TestMain lets the test binary be the program of the pods it makes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "as-pod" {
		if err := actAsPod(os.Args[2:]); err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// actAsPod is what the containers of these tests do.
func actAsPod(args []string) error {
	switch args[0] {
	case "sleep": // until killed, or until the file named exists
		for {
			if _, err := os.Stat(args[1]); err == nil {
				return nil
			}
			time.Sleep(20 * time.Millisecond)
		}
	case "deaf": // to SIGTERM
		signal.Ignore(syscall.SIGTERM)
		if err := os.WriteFile(args[1], nil, 0o600); err != nil {
			return err
		}
		time.Sleep(time.Hour)
		return nil
	case "print": // the arguments, one a line
		fmt.Println(strings.Join(args[1:], "\n"))
		fmt.Println("VALUE=" + os.Getenv("VALUE"))
		return nil
	case "whoami":
		return whoAmI()
	case "await": // a file to have a content
		for {
			text, err := os.ReadFile(args[1])
			if err == nil && string(text) == args[2] {
				return nil
			}
			time.Sleep(20 * time.Millisecond)
		}
	default:
		return fmt.Errorf("unknown part %q", args[0])
	}
}

// whoAmI prints whom the API server takes this process for.
func whoAmI() error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().
		Create(context.Background(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	fmt.Println(review.Status.UserInfo.Username)
	fmt.Println(review.Status.UserInfo.Extra["authentication.kubernetes.io/pod-name"])
	_, err = client.CoreV1().Secrets("default").List(context.Background(), metav1.ListOptions{})
	fmt.Println("forbidden:", apierrors.IsForbidden(err))
	return nil
}

func TestNode(t *testing.T) {
	f := start(t)
	t.Run("an indexed Job survives the SIGKILL of a pod", f.testJob)
	t.Run("a process gets its environment, arguments and volumes", f.testSurroundings)
	t.Run("a changed Secret reaches the process", f.testRotation)
	t.Run("a pod acts as itself and with no other right", f.testIdentity)
	t.Run("a pod waits for a missing Secret and says so", f.testMissingSecret)
	t.Run("an unknown image is not run", f.testUnknownImage)
	t.Run("a failing container is restarted", f.testRestart)
	t.Run("a process deaf to SIGTERM is killed after the grace period", f.testDeletion)
	t.Run("a stopped agent leaves no process", f.testStop)
}

func (f *fixture) testJob(t *testing.T) {
	release := filepath.Join(t.TempDir(), "release")
	pod := podSpec("sleep", release)
	pod.RestartPolicy = corev1.RestartPolicyNever
	three, indexed := int32(3), batchv1.IndexedCompletion
	_, err := f.client.BatchV1().Jobs("default").Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet"},
		Spec: batchv1.JobSpec{
			Completions: &three, Parallelism: &three, CompletionMode: &indexed,
			Template: corev1.PodTemplateSpec{Spec: pod},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	victim := ""
	eventually(t, "three running pods", func() bool {
		pods := f.podsOf(t, "fleet")
		running := 0
		for _, p := range pods {
			if p.Status.Phase == corev1.PodRunning {
				victim = p.Name
				running++
			}
		}
		return running == 3
	})
	pid, ok := f.agent.PID("default", victim, "main")
	if !ok {
		t.Fatalf("no process of the running pod %s", victim)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed pod to be failed with exit code 137", func() bool {
		p := f.get(t, victim)
		return p.Status.Phase == corev1.PodFailed && p.Status.ContainerStatuses[0].State.Terminated.ExitCode == 137
	})
	eventually(t, "a fourth pod to run", func() bool {
		pods := f.podsOf(t, "fleet")
		return len(pods) == 4 && countRunning(pods) == 3
	})
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Job to complete", func() bool {
		job, err := f.client.BatchV1().Jobs("default").Get(t.Context(), "fleet", metav1.GetOptions{})
		return err == nil && job.Status.Succeeded == 3 && job.Status.CompletionTime != nil
	})
}

func countRunning(pods []corev1.Pod) int {
	running := 0
	for _, p := range pods {
		if p.Status.Phase == corev1.PodRunning {
			running++
		}
	}
	return running
}

func (f *fixture) testSurroundings(t *testing.T) {
	data := t.TempDir()
	f.claim(t, "data", data)
	spec := podSpec("print", "--dir=/source/a", "--pod=$(NAME)", "--memory=$(MEMORY)", "$$(NAME)", `{"path":"/source"}`)
	c := &spec.Containers[0]
	c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	c.Env = []corev1.EnvVar{
		{Name: "NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		{Name: "MEMORY", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory"}}},
		{Name: "VALUE", Value: "$(NAME)-$(UNKNOWN)"},
	}
	c.VolumeMounts = []corev1.VolumeMount{{Name: "source", MountPath: "/source", ReadOnly: true}}
	spec.Volumes = []corev1.Volume{{Name: "source", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
	}}}
	f.create(t, "surroundings", spec)
	lines := f.output(t, "surroundings")
	want := []string{
		"--dir=" + data + "/a", "--pod=surroundings", "--memory=67108864", "$(NAME)", `{"path":"/source"}`,
		"VALUE=surroundings-$(UNKNOWN)",
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("the process printed\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func (f *fixture) testRotation(t *testing.T) {
	secret := f.secret(t, "rotating", "old")
	spec := podSpec("await", "/keys/key", "new")
	mountSecret(&spec, "rotating", false)
	f.create(t, "rotation", spec)
	eventually(t, "the pod to run", func() bool { return f.get(t, "rotation").Status.Phase == corev1.PodRunning })
	secret.Data["key"] = []byte("new")
	if _, err := f.client.CoreV1().Secrets("default").Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.awaitSuccess(t, "rotation")
}

func (f *fixture) testIdentity(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "someone"}}
	if _, err := f.client.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	spec := podSpec("whoami")
	spec.ServiceAccountName = "someone"
	f.create(t, "identity", spec)
	got := strings.Join(f.output(t, "identity"), "\n")
	want := "system:serviceaccount:default:someone\n[identity]\nforbidden: true"
	if got != want {
		t.Errorf("the API server takes the pod for\n%s\nwant\n%s", got, want)
	}
}

func (f *fixture) testMissingSecret(t *testing.T) {
	spec := podSpec("print")
	no := false
	spec.Containers[0].Env = []corev1.EnvVar{{Name: "VALUE", ValueFrom: &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "late"}, Key: "key", Optional: &no},
	}}}
	f.create(t, "missing", spec)
	eventually(t, "CreateContainerConfigError", func() bool {
		p := f.get(t, "missing")
		return p.Status.Phase == corev1.PodPending && waitingReason(p) == "CreateContainerConfigError"
	})
	f.secret(t, "late", "arrived")
	f.awaitSuccess(t, "missing")
	if got := f.output(t, "missing"); got[len(got)-1] != "VALUE=arrived" {
		t.Errorf("the process printed %q, want VALUE=arrived at the end", got)
	}
	events, err := f.client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=missing"})
	if err != nil || len(events.Items) == 0 || !strings.Contains(events.Items[0].Message, `"late" not found`) {
		t.Errorf("events of the pod: %+v (error %v), want one that names the Secret", events.Items, err)
	}
}

func (f *fixture) testUnknownImage(t *testing.T) {
	spec := podSpec("print")
	spec.Containers[0].Image = "test.example/other:1"
	f.create(t, "unknown", spec)
	eventually(t, "ErrImageNeverPull", func() bool { return waitingReason(f.get(t, "unknown")) == "ErrImageNeverPull" })
	f.remove(t, "unknown")
}

func (f *fixture) testRestart(t *testing.T) {
	spec := podSpec("no such part")
	spec.RestartPolicy = corev1.RestartPolicyOnFailure
	f.create(t, "restart", spec)
	eventually(t, "two restarts", func() bool {
		p := f.get(t, "restart")
		status := p.Status.ContainerStatuses
		return len(status) == 1 && status[0].RestartCount >= 2 && p.Status.Phase == corev1.PodRunning &&
			status[0].LastTerminationState.Terminated.ExitCode == 3
	})
	f.remove(t, "restart")
}

func (f *fixture) testDeletion(t *testing.T) {
	deaf := filepath.Join(t.TempDir(), "deaf")
	spec := podSpec("deaf", deaf)
	grace := int64(1)
	spec.TerminationGracePeriodSeconds = &grace
	f.create(t, "deletion", spec)
	eventually(t, "the process to be deaf", func() bool { _, err := os.Stat(deaf); return err == nil })
	pid, _ := f.agent.PID("default", "deletion", "main")
	begin := time.Now()
	f.remove(t, "deletion")
	if took := time.Since(begin); took < time.Second {
		t.Errorf("the pod was gone after %s, want at least its grace period of 1 s", took)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after the pod's deletion: %v, want no such process", pid, err)
	}
}

func (f *fixture) testStop(t *testing.T) {
	f.create(t, "left", podSpec("sleep", "/nowhere"))
	eventually(t, "the pod to run", func() bool { return f.get(t, "left").Status.Phase == corev1.PodRunning })
	pid, _ := f.agent.PID("default", "left", "main")
	f.agent.Stop()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after the agent's stop: %v, want no such process", pid, err)
	}
}
