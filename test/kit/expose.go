package kit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const (
	// APIPort and S3Port are where the servers listen at Options.Address.
	APIPort = "6443"
	S3Port  = "7070"
	// serviceAddress is the cluster's first service address, that of its API server.
	serviceAddress = "10.0.0.1"
	// certificateLife outlives any run.
	certificateLife = 30 * 24 * time.Hour
	// clockSkew is how far the clock of a client may be behind.
	clockSkew = time.Hour
)

// exposeToNodes makes the API server serve nodes and pods: an address they reach, a
// certificate for the names they use, and the rules that confine kubelets.
func (c *Cluster) exposeToNodes(server *envtest.APIServer) error {
	server.CertDir = filepath.Join(c.opts.Dir, "pki")
	if err := os.MkdirAll(server.CertDir, 0o700); err != nil {
		return fmt.Errorf("create the directory of certificates: %w", err)
	}
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	if err := c.writeCertificates(ca); err != nil {
		return err
	}
	server.SecureServing.CA = ca.pem
	server.SecureServing.Address, server.SecureServing.Port = c.opts.Address, APIPort
	server.Configure().
		Set("authorization-mode", "Node", "RBAC").
		Set("enable-admission-plugins", "NodeRestriction").
		Set("kubelet-preferred-address-types", "InternalIP").
		Set("kubelet-client-certificate", filepath.Join(server.CertDir, "kubelet-client.crt")).
		Set("kubelet-client-key", filepath.Join(server.CertDir, "kubelet-client.key")).
		Set("event-ttl", "4h").
		// It is no node, so that it calls webhooks at the addresses of pods instead of services.
		Set("enable-aggregator-routing", "true")
	return nil
}

// KubeletCA is the path of the certificate that kubelets know the API server by.
func (o Options) KubeletCA() string { return filepath.Join(o.Dir, "pki", "ca.crt") }

// writeCertificates writes what the API server finds in its directory: envtest
// makes only what is missing there.
func (c *Cluster) writeCertificates(ca *authority) error {
	dir := filepath.Join(c.opts.Dir, "pki")
	if err := os.WriteFile(c.opts.KubeletCA(), ca.pem, 0o600); err != nil {
		return fmt.Errorf("write the CA: %w", err)
	}
	serving := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local"},
		IPAddresses: []net.IP{net.ParseIP(c.opts.Address), net.ParseIP(serviceAddress), net.IPv4(127, 0, 0, 1)},
	}
	kubelets := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver", Organization: []string{"system:masters"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	accounts := &x509.Certificate{Subject: pkix.Name{CommonName: "service-accounts"}}
	for name, template := range map[string]*x509.Certificate{
		"apiserver": serving, "kubelet-client": kubelets, "sa-signer": accounts,
	} {
		if err := ca.issue(filepath.Join(dir, name), template); err != nil {
			return fmt.Errorf("make the certificate %s: %w", name, err)
		}
	}
	return nil
}

// authority signs the certificates of one cluster; its key is never stored.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the CA's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cluster"},
		NotBefore: time.Now().Add(-clockSkew), NotAfter: time.Now().Add(certificateLife),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the CA: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	return &authority{key, certificate, pemBlock("CERTIFICATE", der)}, nil
}

// issue completes and signs a certificate and writes path.crt and path.key.
func (a *authority) issue(path string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = a.certificate.NotBefore, a.certificate.NotAfter
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".key", pemBlock("EC PRIVATE KEY", private), 0o600); err != nil {
		return err
	}
	return os.WriteFile(path+".crt", pemBlock("CERTIFICATE", der), 0o600)
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
