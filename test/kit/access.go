package kit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// serviceAccountTokenLife outlives any run on this machine.
const serviceAccountTokenLife = 24 * time.Hour

// AddUser makes credentials for a user with a client certificate.
func (c *Cluster) AddUser(name string, groups ...string) (*rest.Config, error) {
	user, err := c.environment.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		return nil, fmt.Errorf("add the user %s: %w", name, err)
	}
	return user.Config(), nil
}

// UserKubeconfig writes a kubeconfig for a user with a client certificate to a file.
func (c *Cluster) UserKubeconfig(path, name string, groups ...string) error {
	user, err := c.AddUser(name, groups...)
	if err != nil {
		return err
	}
	auth := &clientcmdapi.AuthInfo{ClientCertificateData: user.CertData, ClientKeyData: user.KeyData}
	return WriteKubeconfig(path, c.Config, metav1.NamespaceDefault, auth)
}

// ServiceAccountKubeconfig writes a kubeconfig that acts as a service account, with
// no right but its own, and returns the file's path.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return "", fmt.Errorf("make a client: %w", err)
	}
	seconds := int64(serviceAccountTokenLife.Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request a token for the service account %s/%s: %w", namespace, name, err)
	}
	path := filepath.Join(c.opts.Dir, namespace+"-"+name+".kubeconfig")
	auth := &clientcmdapi.AuthInfo{Token: token.Status.Token}
	if err := WriteKubeconfig(path, c.Config, namespace, auth); err != nil {
		return "", err
	}
	return path, nil
}

// WriteKubeconfig writes a kubeconfig for the server of a config, with other
// credentials. The file can be read by its owner alone and appears at once.
func WriteKubeconfig(path string, server *rest.Config, namespace string, auth *clientcmdapi.AuthInfo) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["local"] = &clientcmdapi.Cluster{Server: server.Host, CertificateAuthorityData: server.CAData}
	config.AuthInfos["user"] = auth
	config.Contexts["local"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: "user", Namespace: namespace}
	config.CurrentContext = "local"
	text, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode a kubeconfig: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write a kubeconfig: %w", err)
	}
	return nil
}
