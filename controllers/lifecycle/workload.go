package lifecycle

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/workload"
)

const (
	// workerAccount is the ServiceAccount, and its RoleBinding, of worker pods.
	workerAccount = "cargoship-worker"
	// WorkerClusterRole is what a worker may do: read its lease, write its report.
	WorkerClusterRole = "cargoship-worker"

	sourceMount      = "/source"
	targetMount      = "/target"
	credentialsMount = "/var/run/cargoship/credentials"
	caMount          = "/var/run/cargoship/ca"

	// podRetries is how often one worker's pod is replaced, with the Job controller's
	// growing delay, before the Job gives up on it.
	podRetries = 100
	// finishRetries is the same for the finish pod.
	finishRetries = 6
	// exitCountsDiffer is the exit code of the finish pod if the bucket does not hold what
	// was reported; retrying does not help.
	exitCountsDiffer = 3
)

// finishJobName is the name of the finish Job. No suffix of a Job's name ends with that of another:
// a transfer and a restore, which may have any names, have no Job of the same name.
func finishJobName(at *workload.Workload) string {
	if at.Restore != nil {
		return at.Name + "-restore-verify"
	}
	return at.Name + "-finish"
}

// finishJobNames are the names that the finish Job may have; earlier versions gave that of a restore another.
func finishJobNames(at *workload.Workload) []string {
	if at.Restore != nil {
		return []string{finishJobName(at), at.Name + "-restore-finish"}
	}
	return []string{finishJobName(at)}
}

// abortJobName is the name of the aborting Job, which only transfers have.
func abortJobName(at *workload.Workload) string { return at.Name + "-abort" }

// workersJob is the fleet: an Indexed Job, so that a job queue can hold it.
func workersJob(at *workload.Workload, where placement, image string, allowed AllowedSources) (*batchv1.Job, error) {
	job, err := jobFor(at, objects.WorkersJobName(at), v1alpha1.RoleWorker, image)
	if err != nil {
		return nil, err
	}
	if at.Restore != nil {
		mountTarget(&job.Spec.Template.Spec, at)
		where.place(&job.Spec.Template.Spec, at)
	} else if err := mountSource(&job.Spec.Template.Spec, at.Transfer.Spec.Source, allowed); err != nil {
		return nil, err
	}
	job.Labels = merged(texts(at.Spec.Workers.JobLabels), job.Labels)
	n := max(1, at.Spec.Workers.Count)
	job.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
	job.Spec.Completions, job.Spec.Parallelism = ptr.To(n), ptr.To(n)
	job.Spec.BackoffLimitPerIndex = ptr.To(int32(podRetries))
	if text := budgetOf(at); text != "" {
		job.Annotations = merged(job.Annotations, map[string]string{objects.AnnotationBudget: text})
	}
	pod := &job.Spec.Template.Spec
	pod.ServiceAccountName = serviceAccountName(at)
	container := &pod.Containers[0]
	container.Args = append([]string{"run",
		"--pod-name=$(POD_NAME)", "--pod-namespace=$(POD_NAMESPACE)", "--pod-uid=$(POD_UID)",
		volumeArg(at)}, dataArgs(at)...)
	container.Env = append(container.Env,
		fieldEnv("POD_NAME", "metadata.name"),
		fieldEnv("POD_NAMESPACE", "metadata.namespace"),
		fieldEnv("POD_UID", "metadata.uid"))
	return job, nil
}

// finishJob finishes a transfer: it writes the index and aborts uploads that were left open,
// or with abort only the latter. Neither reads the source, so it is not mounted. The finish
// Job of a restore mounts the target.
func finishJob(at *workload.Workload, image string, abort bool) (*batchv1.Job, error) {
	name, args := finishJobName(at), append([]string{"finish"}, expectedCounts(at)...)
	if abort {
		name, args = abortJobName(at), []string{"finish", "--abort"}
	}
	job, err := jobFor(at, name, v1alpha1.RoleFinisher, image)
	if err != nil {
		return nil, err
	}
	if !abort && !objects.AllEnded(at.Status.Progress) {
		job.Annotations = map[string]string{objects.AnnotationStopped: "true"}
	}
	job.Spec.BackoffLimit = ptr.To(int32(finishRetries))
	job.Spec.PodFailurePolicy.Rules = append(job.Spec.PodFailurePolicy.Rules, batchv1.PodFailurePolicyRule{
		Action: batchv1.PodFailurePolicyActionFailJob,
		OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
			ContainerName: ptr.To(v1alpha1.WorkerContainer), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn,
			Values: []int32{exitCountsDiffer}},
	})
	pod := &job.Spec.Template.Spec
	pod.ServiceAccountName = serviceAccountName(at)
	// Only a platform identity needs the token; the API server is not asked anything.
	pod.AutomountServiceAccountToken = ptr.To(at.Location.Credentials.PodIdentity != nil)
	if at.Restore != nil {
		mountTarget(pod, at)
		args = append(args, volumeArg(at))
	}
	pod.Containers[0].Args = slices.Concat(args, dataArgs(at))
	return job, nil
}

// expectedCounts passes the totals of the workers' reports to the finish pod, which compares
// them with the manifests in the bucket.
func expectedCounts(at *workload.Workload) []string {
	p := at.Status.Progress
	if p == nil {
		return nil
	}
	count := func(name string, t *v1alpha1.Tally) string {
		n := convert.TallyFrom(t)
		return fmt.Sprintf("--expect-%s=%d/%d", name, n.Files, n.Bytes)
	}
	args := []string{count("planned", p.Planned), count("done", p.Done), count("failed", p.Failed), count("skipped", p.Skipped)}
	if !objects.AllEnded(p) {
		args = append(args, "--partial")
	}
	return args
}

func dataArgs(at *workload.Workload) []string {
	args := []string{"--memory-limit=$(MEMORY_LIMIT)"}
	if at.Location.Credentials.SecretName != "" {
		args = append(args, "--credentials-dir="+credentialsMount)
	}
	if b := at.Location.CABundle; b != nil {
		args = append(args, "--ca-file="+caMount+"/"+caKey(b))
	}
	return args
}

func serviceAccountName(at *workload.Workload) string {
	if i := at.Location.Credentials.PodIdentity; i != nil {
		return i.ServiceAccountName
	}
	return workerAccount
}

// mayUseNodeRole tells whether workers may ask the node for its own role, which the
// chain of credentials otherwise ends in when the ServiceAccount has none.
func mayUseNodeRole(at *workload.Workload) bool {
	i := at.Location.Credentials.PodIdentity
	return i != nil && i.InstanceMetadata == v1alpha1.InstanceMetadataAllowed
}

func jobFor(at *workload.Workload, name, role, image string) (*batchv1.Job, error) {
	config, err := workerConfig(at)
	if err != nil {
		return nil, err
	}
	if at.Spec.Workers.Image != "" {
		image = at.Spec.Workers.Image
	}
	w, labels := at.Spec.Workers, objects.Labels(at, role)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: at.Namespace, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{objects.OwnerReference(at)},
		},
		Spec: batchv1.JobSpec{
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
				Action: batchv1.PodFailurePolicyActionIgnore,
				OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
					{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
			}}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: merged(texts(w.Labels), labels), Annotations: texts(w.Annotations)},
				Spec:       podSpec(at, image, config),
			},
		},
	}, nil
}

func podSpec(at *workload.Workload, image string, config corev1.EnvVar) corev1.PodSpec {
	w := at.Spec.Workers
	volumes, mounts := volumesFor(at)
	spec := corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: ptr.To(int64(30)),
		NodeSelector:                  texts(w.NodeSelector), Tolerations: w.Tolerations, Affinity: w.Affinity,
		PriorityClassName: w.PriorityClassName,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(max(1, w.RunAsUser)), SupplementalGroups: w.SupplementalGroups,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Volumes: volumes,
		Containers: []corev1.Container{{
			Name: v1alpha1.WorkerContainer, Image: image,
			Env: []corev1.EnvVar{
				config,
				{Name: "AWS_EC2_METADATA_DISABLED", Value: strconv.FormatBool(!mayUseNodeRole(at))},
				{Name: "MEMORY_LIMIT", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{
					ContainerName: v1alpha1.WorkerContainer, Resource: "limits.memory"}}},
			},
			Resources:    corev1.ResourceRequirements{Requests: w.Resources.Requests, Limits: w.Resources.Limits},
			VolumeMounts: mounts,
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		}},
	}
	if w.RuntimeClassName != "" {
		spec.RuntimeClassName = ptr.To(w.RuntimeClassName)
	}
	if w.Affinity == nil {
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelTransferUID: string(at.UID)}},
		}}
	}
	for _, s := range w.ImagePullSecrets {
		spec.ImagePullSecrets = append(spec.ImagePullSecrets, corev1.LocalObjectReference{Name: s.Name})
	}
	return spec
}

func volumesFor(at *workload.Workload) ([]corev1.Volume, []corev1.VolumeMount) {
	var volumes []corev1.Volume
	var mounts []corev1.VolumeMount
	if name := at.Location.Credentials.SecretName; name != "" {
		volumes = append(volumes, corev1.Volume{Name: "credentials", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: name, DefaultMode: ptr.To(int32(0o444))}}})
		mounts = append(mounts, corev1.VolumeMount{Name: "credentials", MountPath: credentialsMount, ReadOnly: true})
	}
	if b := at.Location.CABundle; b != nil {
		volumes = append(volumes, corev1.Volume{Name: "ca", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: b.ConfigMapName}}}})
		mounts = append(mounts, corev1.VolumeMount{Name: "ca", MountPath: caMount, ReadOnly: true})
	}
	return volumes, mounts
}

// mountSource mounts the source read-only. A source becomes a volume nowhere else, so one
// that is not allowed never does.
func mountSource(pod *corev1.PodSpec, s v1alpha1.Source, allowed AllowedSources) error {
	if v := allowed.judge(s); v != nil {
		return (*rejection)(v)
	}
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "source", VolumeSource: sourceVolume(s)})
	container := &pod.Containers[0]
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "source", MountPath: sourceMount, ReadOnly: true})
	return nil
}

// mountTarget mounts the target of a restore, whose root the workers' group may write to.
func mountTarget(pod *corev1.PodSpec, at *workload.Workload) {
	claim, _ := claimOf(at)
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "target", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}})
	container := &pod.Containers[0]
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "target", MountPath: targetMount})
	pod.SecurityContext.FSGroup = pod.SecurityContext.RunAsUser
	pod.SecurityContext.FSGroupChangePolicy = ptr.To(corev1.FSGroupChangeOnRootMismatch)
}

// volumeArg tells the worker where its volume is mounted.
func volumeArg(at *workload.Workload) string {
	if at.Restore != nil {
		return "--target-dir=" + targetMount
	}
	return "--source-dir=" + sourceMount
}

func sourceVolume(s v1alpha1.Source) corev1.VolumeSource {
	switch {
	case s.PersistentVolumeClaim != nil:
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{
			ClaimName: s.PersistentVolumeClaim.ClaimName, ReadOnly: true}}
	case s.NFS != nil:
		return corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: s.NFS.Server, Path: s.NFS.Path, ReadOnly: true}}
	default:
		return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{
			Path: s.HostPath.Path, Type: ptr.To(corev1.HostPathDirectory)}}
	}
}

// workerConfig is what a worker knows of its workload, which it can't read from the API; all
// of it but the budget is immutable.
func workerConfig(at *workload.Workload) (corev1.EnvVar, error) {
	name, trimmed := v1alpha1.WorkerConfigEnv, any(nil)
	if at.Restore != nil {
		name, trimmed = v1alpha1.RestoreConfigEnv, trimmedRestore(at)
	} else {
		trimmed = trimmedTransfer(at)
	}
	b, err := json.Marshal(trimmed)
	if err != nil {
		return corev1.EnvVar{}, fmt.Errorf("write the workers' configuration of %s: %w", at, err)
	}
	return corev1.EnvVar{Name: name, Value: literal(string(b))}, nil
}

// literal is the value of an environment variable that is to be this text: Kubernetes expands
// $(NAME) there, and $$ is a $.
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }

func nameOf(at *workload.Workload) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: at.Name, Namespace: at.Namespace, UID: at.UID}
}

func trimmedTransfer(at *workload.Workload) v1alpha1.ArchiveTransfer {
	spec := at.Transfer.Spec
	t := v1alpha1.ArchiveTransfer{ObjectMeta: nameOf(at), Spec: v1alpha1.ArchiveTransferSpec{
		Source: spec.Source, Destination: spec.Destination, Packing: spec.Packing, Sync: spec.Sync, Budget: spec.Budget}}
	// The finish pod reports when the transfer began, by how many workers it was, and what they sent.
	if w := at.Status.Workers; at.Status.StartTime != nil && w != nil {
		t.Status.StartTime = at.Status.StartTime
		t.Status.Workers = &v1alpha1.WorkersStatus{Desired: w.Desired, Failed: w.Failed}
		t.Status.Sending = at.Status.Sending
	}
	return t
}

// trimmedRestore names location and run, whatever the restore refers to.
func trimmedRestore(at *workload.Workload) v1alpha1.ArchiveRestore {
	spec := at.Restore.Spec
	return v1alpha1.ArchiveRestore{ObjectMeta: nameOf(at), Spec: v1alpha1.ArchiveRestoreSpec{
		From: v1alpha1.RestoreSource{
			Location: &at.Source.Location, Run: &at.Source.Run, Include: spec.From.Include, Exclude: spec.From.Exclude},
		To: spec.To, Conflicts: spec.Conflicts, Attributes: spec.Attributes, Thaw: spec.Thaw}}
}

// workerIdentity is the ServiceAccount of worker pods, unless the user has
// named one, and the right of that account to its leases.
func workerIdentity(at *workload.Workload) (*corev1.ServiceAccount, *rbacv1.RoleBinding) {
	labels := map[string]string{"app.kubernetes.io/part-of": "cargoship", "app.kubernetes.io/managed-by": "cargoship-manager"}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: workerAccount, Namespace: at.Namespace, Labels: labels}}
	name := workerAccount
	if user := serviceAccountName(at); user != workerAccount {
		account, name = nil, workerAccount+"-"+user
	}
	return account, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: at.Namespace, Labels: labels},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: WorkerClusterRole},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: serviceAccountName(at), Namespace: at.Namespace}},
	}
}

func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

// texts are the values of a map as Kubernetes' own types have them.
func texts[T ~string](in map[string]T) map[string]string {
	if in == nil {
		return nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[k] = string(v)
	}
	return out
}

// merged is under with over laid on top; neither is changed.
func merged(under, over map[string]string) map[string]string {
	out := maps.Clone(under)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, over)
	return out
}
