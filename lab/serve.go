package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"
)

// Serve serves on a listener, over TLS unless config is nil, and runs the plan's schedule,
// until ctx ends. It closes the listener. When it returns nothing is left running.
func (l *Lab) Serve(ctx context.Context, on net.Listener, config *tls.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{
		Handler:     l,
		ConnContext: connContext,
		ErrorLog:    log.New(io.Discard, "", 0), // Clients that go away are nothing to tell of.
	}
	var wrapped net.Listener = listener{on, l.link}
	if config != nil {
		wrapped = tls.NewListener(wrapped, config)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(wrapped) }()
	l.run(ctx, served)
	closed := server.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", on.Addr(), err)
	}
	return closed
}

// connContext remembers the connection below TLS, which is the one to be reset.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return withConn(ctx, c)
}

// run changes the conditions by the schedule and returns when ctx or the server ends.
func (l *Lab) run(ctx context.Context, served chan error) {
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, step := range l.plan.Schedule {
		timer.Reset(time.Until(begun.Add(step.At)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		case err := <-served:
			served <- err
			return
		}
		l.Change(step.Conditions)
	}
	select {
	case <-ctx.Done():
	case err := <-served:
		served <- err
	}
}

// NewCertificate returns a certificate for the loopback addresses that is its own
// authority, and its PEM form for clients to trust.
func NewCertificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("draw a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true,
	}
	template.Subject.CommonName = "s3lab"
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("make a certificate: %w", err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, public, nil
}
