package nodeagent_test

import (
	"bufio"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"cargoship.dev/operator/test/kit/kittest"
	"cargoship.dev/operator/test/kit/nodeagent"
)

// fixture is one control plane with one node, shared by the tests of this file.
type fixture struct {
	client kubernetes.Interface
	agent  *nodeagent.Agent
}

func start(t *testing.T) *fixture {
	t.Helper()
	cluster, _ := kittest.ControlPlane(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	agent, err := nodeagent.Start(t.Context(), nodeagent.Options{
		Config: cluster.Config, Dir: t.TempDir(), Images: map[string]string{testImage: program},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(agent.Stop)
	client, err := kubernetes.NewForConfig(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{client: client, agent: agent}
}

// podSpec is a pod with one container, main, that plays a part of actAsPod.
func podSpec(part ...string) corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers:    []corev1.Container{{Name: "main", Image: testImage, Args: append([]string{"as-pod"}, part...)}},
	}
}

func mountSecret(spec *corev1.PodSpec, name string, optional bool) {
	spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "keys", MountPath: "/keys"}}
	spec.Volumes = []corev1.Volume{{Name: "keys", VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: name, Optional: &optional},
	}}}
}

func (f *fixture) create(t *testing.T, name string, spec corev1.PodSpec) {
	t.Helper()
	object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	if _, err := f.client.CoreV1().Pods("default").Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) get(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	object, err := f.client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// remove deletes a pod and waits until its object is gone.
func (f *fixture) remove(t *testing.T, name string) {
	t.Helper()
	if err := f.client.CoreV1().Pods("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod to be gone", func() bool {
		_, err := f.client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func (f *fixture) podsOf(t *testing.T, job string) []corev1.Pod {
	t.Helper()
	list, err := f.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "job-name=" + job})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func (f *fixture) awaitSuccess(t *testing.T, name string) {
	t.Helper()
	eventually(t, "the pod to succeed", func() bool { return f.get(t, name).Status.Phase == corev1.PodSucceeded })
}

// output waits for a pod to succeed and returns the lines it printed.
func (f *fixture) output(t *testing.T, name string) []string {
	t.Helper()
	f.awaitSuccess(t, name)
	file, err := os.Open(f.agent.LogPath(f.get(t, name), "main"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var lines []string
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		lines = append(lines, scanner.Text())
	}
	return lines
}

func (f *fixture) secret(t *testing.T, name, value string) *corev1.Secret {
	t.Helper()
	object := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"key": []byte(value)}}
	made, err := f.client.CoreV1().Secrets("default").Create(t.Context(), object, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// claim makes a volume of a directory and a claim that is bound to it.
func (f *fixture) claim(t *testing.T, name, dir string) {
	t.Helper()
	class, size := "", corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	_, err := f.client.CoreV1().PersistentVolumes().Create(t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, StorageClassName: class,
			ClaimRef:               &corev1.ObjectReference{Namespace: "default", Name: name},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.client.CoreV1().PersistentVolumeClaims("default").Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: name, AccessModes: modes,
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func waitingReason(p *corev1.Pod) string {
	if len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].State.Waiting == nil {
		return ""
	}
	return p.Status.ContainerStatuses[0].State.Waiting.Reason
}

// eventually waits for something to hold, two minutes at most.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if holds() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("waited two minutes in vain for %s", what)
}
