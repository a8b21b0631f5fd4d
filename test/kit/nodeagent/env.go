package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// resolve settles the container's program, arguments and environment.
func (c *container) resolve(ctx context.Context) error {
	program, ok := c.pod.agent.opts.Images[c.spec.Image]
	if !ok {
		return &waitError{reason: reasonNoImage, err: fmt.Errorf("image %q is not present on this node", c.spec.Image)}
	}
	mounts, err := c.mounts()
	if err != nil {
		return &waitError{reason: reasonConfig, err: err}
	}
	variables, err := c.variables(ctx)
	if err != nil {
		return &waitError{reason: reasonConfig, err: err}
	}
	known := map[string]string{}
	env := c.baseEnvironment(mounts)
	for _, v := range variables {
		known[v.name] = v.value
		env = append(env, v.name+"="+rewrite(v.value, mounts))
	}
	// An image holds one program; a command can only repeat its name.
	arguments := c.spec.Args
	if len(c.spec.Command) > 0 {
		arguments = append(append([]string{}, c.spec.Command[1:]...), c.spec.Args...)
	}
	argv := []string{program}
	for _, argument := range arguments {
		argv = append(argv, rewrite(expand(argument, known), mounts))
	}
	c.argv, c.env = argv, env
	return nil
}

// baseEnvironment is what the node itself gives a process. KUBECONFIG stands for
// the service account directory that a process cannot see at its usual place.
func (c *container) baseEnvironment(mounts []mount) []string {
	dir := c.pod.agent.podDir(c.pod.object)
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + filepath.Join(dir, homeDir),
		"HOSTNAME=" + c.pod.object.Name,
	}
	for _, m := range mounts {
		if m.path == serviceAccountDir {
			env = append(env, "KUBECONFIG="+filepath.Join(dir, kubeconfigFile))
		}
	}
	return env
}

type variable struct{ name, value string }

// variables resolves the container's environment in the order it is written, for
// later values may refer to earlier ones.
func (c *container) variables(ctx context.Context) ([]variable, error) {
	if len(c.spec.EnvFrom) > 0 {
		return nil, errors.New("envFrom is not supported by this node")
	}
	var all []variable
	known := map[string]string{}
	for _, entry := range c.spec.Env {
		value := expand(entry.Value, known)
		if entry.ValueFrom != nil {
			var present bool
			var err error
			value, present, err = c.valueFrom(ctx, entry.ValueFrom)
			if err != nil {
				return nil, fmt.Errorf("variable %s: %w", entry.Name, err)
			}
			if !present {
				continue
			}
		}
		known[entry.Name] = value
		all = append(all, variable{name: entry.Name, value: value})
	}
	return all, nil
}

// valueFrom reads a value from where it is kept; an optional one may be absent.
func (c *container) valueFrom(ctx context.Context, from *corev1.EnvVarSource) (value string, present bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = field(c.pod.object, from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err = c.resource(from.ResourceFieldRef)
		return value, true, err
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		return c.key("secret", ref.Name, ref.Key, ref.Optional, func() (map[string][]byte, error) {
			return c.pod.volumes.secret(ctx, ref.Name)
		})
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		return c.key("configmap", ref.Name, ref.Key, ref.Optional, func() (map[string][]byte, error) {
			return c.pod.volumes.configMap(ctx, ref.Name)
		})
	default:
		return "", false, errors.New("its source is not supported by this node")
	}
}

func (c *container) key(kind, name, key string, optional *bool, read func() (map[string][]byte, error)) (string, bool, error) {
	absentIsFine := optional != nil && *optional
	data, err := read()
	if apierrors.IsNotFound(err) && absentIsFine {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	value, ok := data[key]
	if !ok && !absentIsFine {
		return "", false, fmt.Errorf("couldn't find key %s in %s %s/%s", key, kind, c.pod.object.Namespace, name)
	}
	return string(value), ok, nil
}

// field reads one of the pod fields that the downward API offers.
func field(object *corev1.Pod, path string) (string, error) {
	if name, key, ok := mapField(path); ok {
		if name == "labels" {
			return object.Labels[key], nil
		}
		return object.Annotations[key], nil
	}
	switch path {
	case "metadata.name":
		return object.Name, nil
	case "metadata.namespace":
		return object.Namespace, nil
	case "metadata.uid":
		return string(object.UID), nil
	case "spec.nodeName":
		return object.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return object.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs":
		return nodeAddress, nil
	default:
		return "", fmt.Errorf("field %s is not supported by this node", path)
	}
}

// mapField takes apart metadata.labels['key'] and metadata.annotations['key'].
func mapField(path string) (name, key string, ok bool) {
	match := regexp.MustCompile(`^metadata\.(labels|annotations)\['(.+)'\]$`).FindStringSubmatch(path)
	if match == nil {
		return "", "", false
	}
	return match[1], match[2], true
}

// resource reads a limit or request, which without a limit is what the node has.
func (c *container) resource(ref *corev1.ResourceFieldSelector) (string, error) {
	list, name, found := strings.Cut(ref.Resource, ".")
	if !found || (list != "limits" && list != "requests") {
		return "", fmt.Errorf("resource %s is not supported by this node", ref.Resource)
	}
	amounts := c.spec.Resources.Limits
	if list == "requests" {
		amounts = c.spec.Resources.Requests
	}
	amount, ok := amounts[corev1.ResourceName(name)]
	if !ok {
		amount, ok = describe(c.pod.agent.opts.Name).Status.Allocatable[corev1.ResourceName(name)]
	}
	if !ok {
		return "", fmt.Errorf("resource %s is not known to this node", ref.Resource)
	}
	return divide(amount, ref.Divisor), nil
}

// divide rounds up, as the downward API does. No divisor means 1.
func divide(amount, divisor resource.Quantity) string {
	unit := divisor.MilliValue()
	if unit == 0 {
		unit = 1000
	}
	return strconv.FormatInt((amount.MilliValue()+unit-1)/unit, 10)
}

// expand replaces $(NAME) by the value of a known variable, leaves it where NAME is
// unknown, and takes $$ for a dollar sign.
func expand(text string, known map[string]string) string {
	return regexp.MustCompile(`\$\$|\$\([^)]*\)`).ReplaceAllStringFunc(text, func(found string) string {
		if found == "$$" {
			return "$"
		}
		if value, ok := known[found[2:len(found)-1]]; ok {
			return value
		}
		return found
	})
}

// mount is one path of a container and the directory or file that stands for it.
type mount struct{ path, real string }

// mounts lists the container's mounts, those with longer paths first.
func (c *container) mounts() ([]mount, error) {
	var all []mount
	for _, m := range c.spec.VolumeMounts {
		real, ok := c.pod.volumes.dir(m.Name)
		if !ok {
			return nil, fmt.Errorf("mount %s: no volume %q", m.MountPath, m.Name)
		}
		if m.SubPathExpr != "" {
			return nil, fmt.Errorf("mount %s: subPathExpr is not supported by this node", m.MountPath)
		}
		all = append(all, mount{path: filepath.Clean(m.MountPath), real: filepath.Join(real, m.SubPath)})
	}
	sort.SliceStable(all, func(i, j int) bool { return len(all[i].path) > len(all[j].path) })
	return all, nil
}

// rewrite replaces mount paths that stand at the start of a text or after one of
// "=:, " by real ones. Quoted text, such as JSON, stays as it is.
func rewrite(text string, mounts []mount) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		m, found := mountAt(text, i, mounts)
		if !found {
			out.WriteByte(text[i])
			i++
			continue
		}
		out.WriteString(m.real)
		i += len(m.path)
	}
	return out.String()
}

// mountAt finds the mount whose path stands, as a whole, at a place in a text.
func mountAt(text string, i int, mounts []mount) (mount, bool) {
	if i > 0 && !strings.ContainsRune("=:, ", rune(text[i-1])) {
		return mount{}, false
	}
	for _, m := range mounts {
		rest, found := strings.CutPrefix(text[i:], m.path)
		if found && (rest == "" || strings.ContainsRune("/:, ", rune(rest[0]))) {
			return m, true
		}
	}
	return mount{}, false
}

// secret reads the data of a Secret in the pod's namespace.
func (v *volumes) secret(ctx context.Context, name string) (map[string][]byte, error) {
	secret, err := v.agent.client.CoreV1().Secrets(v.object.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return secret.Data, nil
}

// configMap reads the data of a ConfigMap in the pod's namespace.
func (v *volumes) configMap(ctx context.Context, name string) (map[string][]byte, error) {
	configMap, err := v.agent.client.CoreV1().ConfigMaps(v.object.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for key, value := range configMap.Data {
		data[key] = []byte(value)
	}
	for key, value := range configMap.BinaryData {
		data[key] = value
	}
	return data, nil
}
