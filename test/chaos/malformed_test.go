//go:build e2e

package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// malform makes a malformed object of every kind that the manager reads: those of our own
// kinds filled at random within what their schemas admit, and pods and Jobs that pretend
// to be of somebody else's transfer.
func (h *hostile) malform(ctx context.Context, _ string, pick int) error {
	random := rand.New(rand.NewPCG(uint64(pick), 3))
	crds, err := h.kinds(ctx)
	if err != nil {
		return err
	}
	for i := range crds {
		for range 8 {
			if err := h.fuzz(ctx, &crds[i], random); err != nil {
				return err
			}
		}
	}
	return h.pretend(ctx)
}

// kinds are the definitions of our own kinds.
func (h *hostile) kinds(ctx context.Context) ([]unstructured.Unstructured, error) {
	var crds unstructured.UnstructuredList
	crds.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinitionList"})
	if err := h.run.Client.List(ctx, &crds); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(crds.Items, func(crd unstructured.Unstructured) bool {
		group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
		return group != v1alpha1.GroupVersion.Group
	}), nil
}

// clearMalformed deletes the malformed objects that are in no namespace.
func (h *hostile) clearMalformed(ctx context.Context) error {
	crds, err := h.kinds(ctx)
	if err != nil {
		return err
	}
	for i := range crds {
		kind, _, _ := unstructured.NestedString(crds[i].Object, "spec", "names", "kind")
		if scope, _, _ := unstructured.NestedString(crds[i].Object, "spec", "scope"); scope != "Cluster" {
			continue
		}
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
		if err := h.run.Client.DeleteAllOf(ctx, object, client.MatchingLabels{"chaos": h.namespace}); err != nil {
			return err
		}
	}
	return nil
}

// fuzz creates one random object of a kind, and writes a random status to it. What the
// API server rejects is not counted.
func (h *hostile) fuzz(ctx context.Context, crd *unstructured.Unstructured, random *rand.Rand) error {
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	scope, _, _ := unstructured.NestedString(crd.Object, "spec", "scope")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if len(versions) == 0 {
		return fmt.Errorf("CustomResourceDefinition %s has no version", crd.GetName())
	}
	root, _, _ := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema")
	properties, _, _ := unstructured.NestedMap(root, "properties")
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetName(h.name("malformed"))
	if scope == "Namespaced" {
		object.SetNamespace(h.namespace)
	}
	object.SetLabels(map[string]string{"chaos": h.namespace})
	object.Object["spec"] = fill(properties["spec"], random)
	h.aim(object, random)
	status := fill(properties["status"], random)
	err := h.run.Client.Create(ctx, object)
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return nil
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.made[kind]++
	h.mu.Unlock()
	object.Object["status"] = status
	if err := h.run.Client.Status().Update(ctx, object); err == nil {
		h.mu.Lock()
		h.made[kind+" status"]++
		h.mu.Unlock()
	}
	return nil
}

// aim gives a random transfer a source and a bucket that exist, half of the time, and in
// any case an image that sends nothing.
func (h *hostile) aim(object *unstructured.Unstructured, random *rand.Rand) {
	spec, ok := object.Object["spec"].(map[string]any)
	if !ok || object.GetKind() != "ArchiveTransfer" {
		return
	}
	workers, _ := spec["workers"].(map[string]any)
	if workers == nil {
		workers = map[string]any{}
		spec["workers"] = workers
	}
	workers["image"], workers["count"] = pauseImage, int64(1)
	maps.DeleteFunc(workers, func(key string, _ any) bool {
		return slices.Contains([]string{"affinity", "tolerations", "resources", "nodeSelector", "priorityClassName", "runtimeClassName"}, key)
	})
	if random.IntN(2) == 0 {
		return
	}
	at := h.transfer("x", h.buckets[random.IntN(len(h.buckets))])
	spec["source"] = map[string]any{"persistentVolumeClaim": map[string]any{"claimName": at.Spec.Source.PersistentVolumeClaim.ClaimName}}
	spec["destination"] = map[string]any{
		"bucket": at.Spec.Destination.Bucket, "prefix": "hostile/" + object.GetName(), "region": at.Spec.Destination.Region,
		"endpoint": at.Spec.Destination.Endpoint, "addressingStyle": "Path",
		"credentials": map[string]any{"secretName": at.Spec.Destination.Credentials.SecretName},
	}
}

// fill draws a value that the structural part of a schema admits; rules between fields
// are left to chance.
func fill(of any, random *rand.Rand) any {
	s, _ := of.(map[string]any)
	if choices, ok := s["enum"].([]any); ok {
		return choices[random.IntN(len(choices))]
	}
	if s["x-kubernetes-int-or-string"] == true {
		return []any{int64(random.Uint32()), "1Gi", "0", "9E"}[random.IntN(4)]
	}
	switch s["type"] {
	case "object":
		return fillObject(s, random)
	case "array":
		list := []any{}
		for range random.Int64N(min(number(s, "maxItems", 3), 5) + 1) {
			list = append(list, fill(s["items"], random))
		}
		return list
	case "integer":
		least, most := number(s, "minimum", -1<<31), number(s, "maximum", 1<<31-1)
		if s["format"] == "int64" {
			most = number(s, "maximum", 1<<63-1)
		}
		return []int64{least, most, least + random.Int64N(max(1, min(most-least, 1<<40)))}[random.IntN(3)]
	case "boolean":
		return random.IntN(2) == 0
	case "string":
		return fillString(s, random)
	}
	return nil
}

func fillObject(s map[string]any, random *rand.Rand) map[string]any {
	object := map[string]any{}
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if slices.Contains(required, any(name)) || random.IntN(2) == 0 {
			object[name] = fill(properties[name], random)
		}
	}
	if values, ok := s["additionalProperties"]; ok && len(properties) == 0 {
		for range random.Int64N(min(number(s, "maxProperties", 4), 4) + 1) {
			object[fmt.Sprintf("key-%d", random.Uint32())] = fill(values, random)
		}
	}
	return object
}

// fillString draws names that mean something, and such as are long and odd.
func fillString(s map[string]any, random *rand.Rand) string {
	if s["format"] == "date-time" {
		return "2099-01-01T00:00:00Z"
	}
	least, most := number(s, "minLength", 0), min(number(s, "maxLength", 1<<10), 1<<14)
	odd := []string{"5s", "20s", "10m", "0-41,43-99", "9-1", "-1", "18446744073709551615", "{}", "null", "..", "a", "Complete", "True",
		"http://user:secret@example.invalid", strings.Repeat("<", int(most)), strings.Repeat("\u2028", int(most)/3), strings.Repeat("x", int(most))}
	text := odd[random.IntN(len(odd))]
	for int64(len(text)) < least {
		text += "x"
	}
	return text[:min(int64(len(text)), max(most, 1))]
}

func number(s map[string]any, key string, otherwise int64) int64 {
	switch v := s[key].(type) {
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return otherwise
}

// pretend makes a pod with the labels of a victim's worker, a lease with those labels, and
// a Job with the name of the workers' Job of a transfer to come.
func (h *hostile) pretend(ctx context.Context) error {
	var pods corev1.PodList
	if err := h.run.Client.List(ctx, &pods, client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleWorker}); err != nil {
		return err
	}
	victims := slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.Namespace == h.namespace })
	if len(victims) == 0 {
		return fmt.Errorf("find a worker to pretend to be: %w", errNothing)
	}
	victim := victims[0]
	sleeper := corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: pauseImage, ImagePullPolicy: corev1.PullNever}},
		RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: ptr.To(int64(1))}
	objects := []client.Object{
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: victim.Name, Labels: victim.Labels}, Spec: sleeper},
		&v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: victim.Name, Labels: victim.Labels},
			Spec: v1alpha1.PrefixLeaseSpec{TransferName: "any", PodUID: string(victim.UID), Epoch: 1 << 60, Sequence: 1 << 60,
				LeaseDuration: metav1.Duration{Duration: time.Hour}, ReportInterval: metav1.Duration{Duration: 10 * time.Minute}, Mode: v1alpha1.LeaseActive}},
		&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: h.name("liar") + "-workers", Labels: victim.Labels},
			Spec: batchv1.JobSpec{Suspend: ptr.To(true), Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: victim.Labels}, Spec: sleeper}}},
	}
	for _, object := range objects {
		err := h.run.Client.Create(ctx, object)
		if apierrors.IsAlreadyExists(err) || apierrors.IsInvalid(err) {
			continue
		}
		if err != nil {
			return err
		}
		h.mu.Lock()
		h.made["pretended "+strings.ToLower(fmt.Sprintf("%T", object)[strings.LastIndex(fmt.Sprintf("%T", object), ".")+1:])]++
		h.mu.Unlock()
	}
	return nil
}
