package nodeagent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"cargoship.dev/operator/test/kit"
)

const (
	// serviceAccountDir is where every container expects its API credentials.
	serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"
	// volumesDir and kubeconfigFile are names under a pod's directory.
	volumesDir     = "volumes"
	kubeconfigFile = "kubeconfig"
	// defaultTokenSeconds is the life of a projected token that names none.
	defaultTokenSeconds = 3600
	// minTokenLeft is when, at the latest, a token is replaced.
	minTokenLeft = time.Minute
)

// volumes holds the real directories of a pod's volumes and keeps their content
// up to date.
type volumes struct {
	agent  *Agent
	object *corev1.Pod

	mu      sync.Mutex
	dirs    map[string]string            // volume name → directory
	written map[string]map[string][]byte // volume name → content last written
	tokens  map[string]token             // volume name and path → token
}

type token struct {
	text  string
	renew time.Time
}

func newVolumes(a *Agent, object *corev1.Pod) *volumes {
	return &volumes{
		agent: a, object: object,
		dirs: map[string]string{}, written: map[string]map[string][]byte{}, tokens: map[string]token{},
	}
}

// dir is the directory that stands for a volume.
func (v *volumes) dir(name string) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	dir, ok := v.dirs[name]
	return dir, ok
}

// sync makes every volume's directory and brings its content up to date.
func (v *volumes) sync(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.object.Spec.Volumes {
		volume := &v.object.Spec.Volumes[i]
		dir, err := v.materialize(ctx, volume)
		if err != nil {
			return &waitError{reason: reasonCreating, err: fmt.Errorf("mount volume %q: %w", volume.Name, err)}
		}
		v.dirs[volume.Name] = dir
	}
	return v.writeKubeconfig()
}

// materialize returns the directory of one volume.
func (v *volumes) materialize(ctx context.Context, volume *corev1.Volume) (string, error) {
	own := filepath.Join(v.agent.podDir(v.object), volumesDir, volume.Name)
	switch {
	case volume.PersistentVolumeClaim != nil:
		return v.claim(ctx, volume.PersistentVolumeClaim.ClaimName)
	case volume.HostPath != nil:
		_, err := os.Stat(volume.HostPath.Path)
		return volume.HostPath.Path, err
	case volume.EmptyDir != nil:
		return own, os.MkdirAll(own, 0o700)
	}
	content, err := v.content(ctx, volume)
	if err != nil {
		return "", err
	}
	if last, ok := v.written[volume.Name]; ok && maps.EqualFunc(last, content, bytes.Equal) {
		return own, nil
	}
	if err := replaceContent(own, content); err != nil {
		return "", err
	}
	v.written[volume.Name] = content
	return own, nil
}

// claim follows a claim to its volume's directory.
func (v *volumes) claim(ctx context.Context, name string) (string, error) {
	claim, err := v.agent.client.CoreV1().PersistentVolumeClaims(v.object.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if claim.Status.Phase != corev1.ClaimBound {
		return "", fmt.Errorf("persistentvolumeclaim %q is not bound", name)
	}
	volume, err := v.agent.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	path := ""
	switch {
	case volume.Spec.HostPath != nil:
		path = volume.Spec.HostPath.Path
	case volume.Spec.Local != nil:
		path = volume.Spec.Local.Path
	default:
		return "", fmt.Errorf("persistentvolume %q is neither hostPath nor local", volume.Name)
	}
	_, err = os.Stat(path)
	return path, err
}

// content gathers the files of a volume that the API holds.
func (v *volumes) content(ctx context.Context, volume *corev1.Volume) (map[string][]byte, error) {
	switch {
	case volume.Secret != nil:
		source := volume.Secret
		data, err := v.secret(ctx, source.SecretName)
		return pick(data, err, source.Items, source.Optional)
	case volume.ConfigMap != nil:
		source := volume.ConfigMap
		data, err := v.configMap(ctx, source.Name)
		return pick(data, err, source.Items, source.Optional)
	case volume.Projected != nil:
		return v.projected(ctx, volume.Name, volume.Projected.Sources)
	case volume.DownwardAPI != nil:
		return v.downward(volume.DownwardAPI.Items)
	default:
		return nil, errors.New("this kind of volume is not supported by this node")
	}
}

func (v *volumes) projected(ctx context.Context, volume string, sources []corev1.VolumeProjection) (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, source := range sources {
		var part map[string][]byte
		var err error
		switch {
		case source.ServiceAccountToken != nil:
			part, err = v.token(ctx, volume, source.ServiceAccountToken)
		case source.Secret != nil:
			part, err = v.secret(ctx, source.Secret.Name)
			part, err = pick(part, err, source.Secret.Items, source.Secret.Optional)
		case source.ConfigMap != nil:
			part, err = v.configMap(ctx, source.ConfigMap.Name)
			part, err = pick(part, err, source.ConfigMap.Items, source.ConfigMap.Optional)
		case source.DownwardAPI != nil:
			part, err = v.downward(source.DownwardAPI.Items)
		default:
			err = errors.New("this projection is not supported by this node")
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(all, part)
	}
	return all, nil
}

// pick selects and renames keys. A missing object or key is fine when optional.
func pick(data map[string][]byte, err error, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	absentIsFine := optional != nil && *optional
	if apierrors.IsNotFound(err) && absentIsFine {
		return map[string][]byte{}, nil
	}
	if err != nil || len(items) == 0 {
		return data, err
	}
	picked := map[string][]byte{}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok && !absentIsFine {
			return nil, fmt.Errorf("references non-existent key: %s", item.Key)
		}
		if ok {
			picked[item.Path] = value
		}
	}
	return picked, nil
}

func (v *volumes) downward(items []corev1.DownwardAPIVolumeFile) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, item := range items {
		if item.FieldRef == nil {
			return nil, fmt.Errorf("%s: only fields of the pod are supported by this node", item.Path)
		}
		value, err := field(v.object, item.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		files[item.Path] = []byte(value)
	}
	return files, nil
}

// token returns a token that is bound to the pod, a new one when four fifths of the
// last one's life are over.
func (v *volumes) token(ctx context.Context, volume string, source *corev1.ServiceAccountTokenProjection) (map[string][]byte, error) {
	key := volume + "/" + source.Path
	if held, ok := v.tokens[key]; ok && time.Now().Before(held.renew) {
		return map[string][]byte{source.Path: []byte(held.text)}, nil
	}
	seconds := int64(defaultTokenSeconds)
	if source.ExpirationSeconds != nil {
		seconds = *source.ExpirationSeconds
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: v.object.Name, UID: v.object.UID,
		},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	granted, err := v.agent.client.CoreV1().ServiceAccounts(v.object.Namespace).
		CreateToken(ctx, v.object.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("request a token: %w", err)
	}
	life := time.Until(granted.Status.ExpirationTimestamp.Time)
	v.tokens[key] = token{text: granted.Status.Token, renew: time.Now().Add(min(life*4/5, life-minTokenLeft))}
	return map[string][]byte{source.Path: []byte(granted.Status.Token)}, nil
}

// writeKubeconfig points API clients at the pod's own token. A pod that mounts
// none gets no access.
func (v *volumes) writeKubeconfig() error {
	path := filepath.Join(v.agent.podDir(v.object), kubeconfigFile)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	for _, c := range v.object.Spec.Containers {
		for _, m := range c.VolumeMounts {
			if m.MountPath == serviceAccountDir {
				auth := &clientcmdapi.AuthInfo{TokenFile: filepath.Join(v.dirs[m.Name], "token")}
				return kit.WriteKubeconfig(path, v.agent.opts.Config, v.object.Namespace, auth)
			}
		}
	}
	return nil
}
