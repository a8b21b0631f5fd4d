package kubectl

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// Archive is where a transfer has its archives, and what it takes to read them.
type Archive struct {
	Location v1alpha1.Location
	// UID is that of the run.
	UID string
	// Secret holds the keys, by the names that AWS tools have for them; nil if the workers
	// have the identity of their pods. CA is a PEM bundle, nil for the system's.
	Secret map[string][]byte
	CA     []byte
}

// Archive finds that of a transfer, with its keys unless the caller has others.
func (c Commands) Archive(ctx context.Context, name string, keys bool) (Archive, error) {
	cluster, err := c.access.open()
	if err != nil {
		return Archive{}, err
	}
	at, err := cluster.transfer(ctx, name)
	if err != nil {
		return Archive{}, err
	}
	a := Archive{Location: at.Spec.Destination.Location, UID: string(at.UID)}
	if secret := a.Location.Credentials.SecretName; keys && secret != "" {
		if a.Secret, err = cluster.secret(ctx, secret); err != nil {
			return a, err
		}
	}
	if bundle := a.Location.CABundle; bundle != nil {
		a.CA, err = cluster.configKey(ctx, bundle.ConfigMapName, bundle.Key)
	}
	return a, err
}

func (c *cluster) secret(ctx context.Context, name string) (map[string][]byte, error) {
	var secret corev1.Secret
	if err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, &secret); err != nil {
		return nil, fmt.Errorf("read the credentials of the transfer: %w; or name others with --credentials-dir", c.problem(ctx, "get", "secrets", c.namespace, name, err))
	}
	keys := map[string][]byte{}
	for _, key := range []string{v1alpha1.SecretKeyAccessKeyID, v1alpha1.SecretKeySecretAccessKey, v1alpha1.SecretKeySessionToken} {
		if value := secret.Data[key]; len(value) > 0 {
			keys[key] = value
		}
	}
	return keys, nil
}

func (c *cluster) configKey(ctx context.Context, name, key string) ([]byte, error) {
	var m corev1.ConfigMap
	if err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, &m); err != nil {
		return nil, fmt.Errorf("read the CA bundle of the transfer: %w", c.problem(ctx, "get", "configmaps", c.namespace, name, err))
	}
	if value := m.Data[key]; strings.TrimSpace(value) != "" {
		return []byte(value), nil
	}
	return nil, fmt.Errorf("read the CA bundle of the transfer: configmap %s has no key %s", name, key)
}
