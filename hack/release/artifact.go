package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// artifact is something a registry keeps beside images: a manifest, a configuration and one
// blob. It can be written wherever an image can.
type artifact struct {
	manifest, config []byte
	blob             v1.Layer
}

// blobs are the contents of an artifact and their types.
type blobs struct {
	// kind is the artifact's type, if its configuration does not tell.
	kind                string
	configType, content string
	config, blob        []byte
	annotations         map[string]string
	// subject is the manifest that the artifact is about, if it is about one.
	subject *v1.Descriptor
}

// newArtifact makes an artifact by the manifest of image-spec 1.1.
func newArtifact(b blobs) (v1.Image, error) {
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: b.kind,
		Annotations: b.annotations,
	}
	var err error
	if manifest.Config, err = describe(b.configType, b.config); err != nil {
		return nil, err
	}
	blob, err := describe(b.content, b.blob)
	if err != nil {
		return nil, err
	}
	manifest.Layers = []ocispec.Descriptor{blob}
	if s := b.subject; s != nil {
		manifest.Subject = &ocispec.Descriptor{MediaType: string(s.MediaType), Size: s.Size, Digest: ociDigest(s.Digest)}
	}
	a := &artifact{config: b.config, blob: static.NewLayer(b.blob, types.MediaType(b.content))}
	if a.manifest, err = json.Marshal(manifest); err != nil {
		return nil, err
	}
	return partial.CompressedToImage(a)
}

func describe(mediaType string, content []byte) (ocispec.Descriptor, error) {
	hash, size, err := v1.SHA256(bytes.NewReader(content))
	return ocispec.Descriptor{MediaType: mediaType, Size: size, Digest: ociDigest(hash)}, err
}

func ociDigest(hash v1.Hash) digest.Digest { return digest.Digest(hash.String()) }

// MediaType implements partial.CompressedImageCore.
func (a *artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawManifest implements partial.CompressedImageCore.
func (a *artifact) RawManifest() ([]byte, error) { return a.manifest, nil }

// RawConfigFile implements partial.CompressedImageCore.
func (a *artifact) RawConfigFile() ([]byte, error) { return a.config, nil }

// LayerByDigest implements partial.CompressedImageCore.
func (a *artifact) LayerByDigest(hash v1.Hash) (partial.CompressedLayer, error) {
	has, err := a.blob.Digest()
	if err != nil {
		return nil, err
	}
	if has != hash {
		return nil, fmt.Errorf("find the blob %s of an artifact: it has %s only", hash, has)
	}
	return a.blob, nil
}
