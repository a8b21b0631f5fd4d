// Package charts_test checks the Helm chart: against config/default, against its own
// schema, and against a real API server.
package charts_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/kittest"
)

const chart = "cargoship"

// everything switches on what is off by default.
func everything() []string {
	return []string{
		"priorityClass.create=true", "priorityClass.name=cargoship", "flowSchema.enabled=true", "allowHostPathSources=true", "allowNFSSources=true",
		"metrics.serviceMonitor.enabled=true", "metrics.rules.enabled=true", "metrics.dashboard.enabled=true",
		"podLabels.team=data", "apiBudget=500", "logLevel=debug", "volumePopulator.enabled=true", "notifications.url=https://receiver.test/hook", "notifications.secretName=notifications",
		"tracing.endpoint=http://collector.test:4318", "tracing.headersSecret=collector", "tracing.samplingRatio=0.1", "imagePullSecrets[0].name=registry",
	}
}

func TestChartLints(t *testing.T) {
	if _, err := helm(t, append([]string{"lint", "--strict", chart}, sets(everything())...)...); err != nil {
		t.Error(err)
	}
}

func TestChartInstallsWhatConfigDoes(t *testing.T) {
	kustomized := run(t, nil, filepath.Join(programs(t), assets.Kubectl), "kustomize", "../config/default")
	want, got := byName(t, kustomized), byName(t, template(t, "image.tag=latest", "workerImage.tag=latest"))
	delete(want, "Namespace/cargoship-system") // helm install --create-namespace
	for name, object := range want {
		if diff := cmp.Diff(object, got[name]); diff != "" {
			t.Errorf("%s differs from that of config/default (-config +chart):\n%s", name, diff)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("the chart makes %s by default, config/default does not", name)
		}
	}
}

func TestSwitchesMakeTheirObjects(t *testing.T) {
	objects := byName(t, template(t, everything()...))
	for _, name := range []string{"PriorityClass/cargoship", "FlowSchema/cargoship-workers", "ServiceMonitor/cargoship-controller-manager",
		"PrometheusRule/cargoship", "ConfigMap/cargoship-dashboard"} {
		if objects[name] == nil {
			t.Errorf("no %s with everything switched on", name)
		}
	}
	manager := objects["Deployment/cargoship-controller-manager"]
	containers, _, _ := unstructured.NestedSlice(manager, "spec", "template", "spec", "containers")
	args := fmt.Sprint(containers[0].(map[string]any)["args"])
	for _, flag := range []string{"--allow-host-path-sources", "--allow-nfs-sources", "--log-level=debug", "--notify-url=https://receiver.test/hook", "--notify-key-file=/etc/cargoship/notifications/key"} {
		if !strings.Contains(args, flag) {
			t.Errorf("the manager's arguments %s lack %s", args, flag)
		}
	}
	wantTraced(t, containers[0].(map[string]any))
	none := byName(t, template(t, "crds.install=false", "podDisruptionBudget.enabled=false", "networkPolicy.enabled=false"))
	for name := range none {
		if kind, _, _ := strings.Cut(name, "/"); slices.Contains([]string{"CustomResourceDefinition", "PodDisruptionBudget", "NetworkPolicy"}, kind) {
			t.Errorf("%s is made although it is switched off", name)
		}
	}
}

// wantTraced fails unless the environment of the manager has what everything sets of tracing.
func wantTraced(t *testing.T, manager map[string]any) {
	t.Helper()
	want := []any{
		map[string]any{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector.test:4318"},
		map[string]any{"name": "OTEL_EXPORTER_OTLP_HEADERS", "valueFrom": map[string]any{
			"secretKeyRef": map[string]any{"name": "collector", "key": "headers"}}},
		map[string]any{"name": "OTEL_TRACES_SAMPLER", "value": "parentbased_traceidratio"},
		map[string]any{"name": "OTEL_TRACES_SAMPLER_ARG", "value": "0.1"},
	}
	if diff := cmp.Diff(want, manager["env"]); diff != "" {
		t.Errorf("the manager's environment (-want +got):\n%s", diff)
	}
}

func TestADigestPinsItsImage(t *testing.T) {
	digest := func(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }
	objects := byName(t, template(t, "image.tag=1.2.3", "image.digest="+digest("a"), "workerImage.repository=mirror/worker", "workerImage.digest="+digest("b")))
	containers, _, _ := unstructured.NestedSlice(objects["Deployment/cargoship-controller-manager"], "spec", "template", "spec", "containers")
	manager := containers[0].(map[string]any)
	if got, want := manager["image"], "cargoship/manager:1.2.3@"+digest("a"); got != want {
		t.Errorf("the manager's image is %v, want %s", got, want)
	}
	if args := fmt.Sprint(manager["args"]); !strings.Contains(args, "--worker-image=mirror/worker:0.1.0@"+digest("b")) {
		t.Errorf("the manager's arguments %s do not pin the workers' image", args)
	}
}

func TestTypesOutliveTheRelease(t *testing.T) {
	for value, want := range map[string]string{"true": "keep", "false": ""} {
		for name, object := range raw(t, template(t, "crds.keep="+value)) {
			if object.GetKind() == "CustomResourceDefinition" && object.GetAnnotations()["helm.sh/resource-policy"] != want {
				t.Errorf("with crds.keep=%s the annotations of %s are %v", value, name, object.GetAnnotations())
			}
		}
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	for _, value := range []string{
		"replica=3", "replicas=many", "replicas=0", "image.tag=a b", "image.digest=sha256:short", "workerImage.digest=latest", "image.pullPolicy=Sometimes", "logLevel=loud",
		"crds.install=maybe", "metrics.serviceMonitor.interval=soon", "flowSchema.matchingPrecedence=0", "apiBudget=10", "tracing.endpoint=collector:4318", "tracing.endpoint=http://user:password@collector", "tracing.samplingRatio=2", "tracing.samplingRatio=1.5", "priorityClass.create=true",
	} {
		if _, err := helm(t, "template", chart, chart, "--set", value); err == nil {
			t.Errorf("--set %s is taken, want an error", value)
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The chart has the rights of config/populator, and a VolumePopulator where the cluster knows the type.
func TestThePopulatorIsThatOfConfig(t *testing.T) {
	want := byName(t, run(t, nil, filepath.Join(programs(t), assets.Kubectl), "kustomize", "../config/populator"))
	got := byName(t, template(t, "volumePopulator.enabled=true"))
	for name, object := range want {
		if diff := cmp.Diff(object, got[name]); diff != "" {
			t.Errorf("%s differs from that of config/populator (-config +chart):\n%s", name, diff)
		}
	}
	const populator = "VolumePopulator/cargoship-archiverestore"
	if _, there := got[populator]; there {
		t.Error("a VolumePopulator is made where its type may be unknown")
	}
	out, err := helm(t, "template", chart, chart, "--namespace", "cargoship-system", "--set", "volumePopulator.enabled=true",
		"--api-versions", "populator.storage.k8s.io/v1beta1/VolumePopulator")
	if err != nil {
		t.Fatal(err)
	}
	if _, there := byName(t, out)[populator]; !there {
		t.Error("no VolumePopulator is made where its type is known")
	}
}

func TestNotesTellWhatWasChosen(t *testing.T) {
	const hostPath = "Anyone who may create an ArchiveTransfer can now read files of the nodes."
	const nfs = "Anyone who may create an ArchiveTransfer can now read the NFS exports that the nodes can mount."
	for value, wantWarning := range map[string]bool{"true": true, "false": false} {
		out, err := helm(t, "install", chart, chart, "--dry-run=client", "--set", "allowHostPathSources="+value+",allowNFSSources="+value)
		if err != nil {
			t.Fatal(err)
		}
		_, notes, found := strings.Cut(string(out), "NOTES:")
		if !found || !strings.Contains(notes, "kubectl get archivetransfers -w") {
			t.Errorf("the notes do not tell how to go on:\n%s", notes)
		}
		for _, warning := range []string{hostPath, nfs} {
			if strings.Contains(notes, warning) != wantWarning {
				t.Errorf("with sources allowed: %s, the notes are:\n%s", value, notes)
			}
		}
	}
}

// TestPrometheusOperatorKnowsEveryField checks what only that operator has types for.
func TestPrometheusOperatorKnowsEveryField(t *testing.T) {
	objects := raw(t, template(t, everything()...))
	for name, typed := range map[string]any{
		"ServiceMonitor/cargoship-controller-manager": &monitoringv1.ServiceMonitor{},
		"PrometheusRule/cargoship":                    &monitoringv1.PrometheusRule{},
	} {
		text, err := yaml.Marshal(objects[name].Object)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, typed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAPIServerTakesTheChart lets a real API server check every field of what it has
// a type for. It needs no published schemas, as kubeconform would, which a machine
// without a way out can't fetch, and it knows the rules that no schema holds.
func TestAPIServerTakesTheChart(t *testing.T) {
	cluster, dir := kittest.ControlPlane(t)
	rendered := template(t, append(everything(), "metrics.serviceMonitor.enabled=false", "metrics.rules.enabled=false")...)
	kubectl := []string{filepath.Join(dir, assets.Kubectl), "--kubeconfig=" + cluster.Kubeconfig}
	run(t, nil, append(kubectl, "create", "namespace", "cargoship-system")...)
	run(t, rendered, append(kubectl, "apply", "--server-side", "--validate=strict", "-f", "-")...)
}

// template renders the chart with some values set.
func template(t *testing.T, values ...string) []byte {
	t.Helper()
	out, err := helm(t, append([]string{"template", "cargoship", chart, "--namespace", "cargoship-system"}, sets(values)...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sets(values []string) []string {
	var args []string
	for _, value := range values {
		args = append(args, "--set", value)
	}
	return args
}

func helm(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	program, err := filepath.Abs("../bin/tools/helm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v; make bin/tools/helm builds it", err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("helm %s: %w: %s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out, nil
}

func programs(t *testing.T) string {
	t.Helper()
	dir, err := assets.Ensure(t.Context(), assets.Options{Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func run(t *testing.T, stdin []byte, argv ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, stderr.Bytes())
	}
	return out
}

// raw splits a stream of objects, by kind and name.
func raw(t *testing.T, stream []byte) map[string]*unstructured.Unstructured {
	t.Helper()
	objects := map[string]*unstructured.Unstructured{}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if len(object.Object) > 0 {
			objects[object.GetKind()+"/"+object.GetName()] = object
		}
	}
}

// byName is raw without what only Helm adds, and what says nothing.
func byName(t *testing.T, stream []byte) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	for name, object := range raw(t, stream) {
		labels := object.GetLabels()
		for _, key := range []string{"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"} {
			delete(labels, key)
		}
		object.SetLabels(labels)
		annotations := object.GetAnnotations()
		delete(annotations, "helm.sh/resource-policy")
		object.SetAnnotations(annotations)
		if object.GroupVersionKind().Group == "admissionregistration.k8s.io" {
			object.SetNamespace("") // kustomize takes these kinds for namespaced
		}
		objects[name] = object.Object
	}
	return objects
}
