package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

const (
	// passwordEnv holds the password of a key, as for cosign.
	passwordEnv = "COSIGN_PASSWORD" //nolint:gosec // It is a name.
	// signatureType and signatureAnnotation are those of cosign
	// (github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md).
	signatureType       = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
)

// key signs as cosign does, with ECDSA and SHA-256.
type key struct {
	private *ecdsa.PrivateKey
	// public is its public half in PEM.
	public []byte
}

// readKey reads a private key in PEM, also one that cosign has encrypted. Without a path
// there is none.
func readKey(path string) (*key, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the key to sign with: %w", err)
	}
	password := func(bool) ([]byte, error) { return []byte(os.Getenv(passwordEnv)), nil }
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(text, password)
	if err != nil {
		return nil, fmt.Errorf("read the key to sign with, %s: %w; its password must be in %s", path, err, passwordEnv)
	}
	signer, ok := private.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read the key to sign with, %s: it is a %T, and must be an ECDSA key, as cosign generate-key-pair makes it", path, private)
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("read the key to sign with, %s: %w", path, err)
	}
	return &key{private: signer, public: public}, nil
}

// sign signs a message. The signature follows from key and message (RFC 6979).
func (k *key) sign(message []byte) (string, error) {
	digest := sha256.Sum256(message)
	signature, err := k.private.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

// signManifest is the signature of a manifest, as an image that is kept beside it.
func (k *key) signManifest(of name.Digest) (v1.Image, error) {
	text, err := json.Marshal(payload.Cosign{Image: of})
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", of, err)
	}
	signature, err := k.sign(text)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", of, err)
	}
	return mutate.Append(emptyImage(), mutate.Addendum{
		Layer: static.NewLayer(text, signatureType), Annotations: map[string]string{signatureAnnotation: signature},
	})
}

// signatureTag is where cosign looks for the signature of a manifest.
func signatureTag(of v1.Hash) string { return of.Algorithm + "-" + of.Hex + ".sig" }
