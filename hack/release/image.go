package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// recipe is what an image is made of: it runs the first of its programs.
type recipe struct {
	name, title string
	programs    []string
}

func recipes() []recipe {
	return []recipe{
		{name: manager, title: "CargoShip manager", programs: []string{manager}},
		// The pods run worker; cargoship is there for whoever reads a bucket from within the cluster.
		{name: worker, title: "CargoShip worker", programs: []string{worker, tool}},
		{name: tool, title: "CargoShip command line", programs: []string{tool}},
	}
}

// platformImage is an image of one platform.
type platformImage struct {
	platform v1.Platform
	image    v1.Image
	programs []program
}

// multiImage is one image for all platforms.
type multiImage struct {
	name      string
	platforms []platformImage
	index     v1.ImageIndex
	digest    v1.Hash
}

// baker makes images on a base.
type baker struct {
	plan *plan
	// base is what each platform's image begins with.
	base map[string]v1.Image
}

func newBaker(ctx context.Context, p *plan) (*baker, error) {
	b := &baker{plan: p, base: map[string]v1.Image{}}
	var own v1.Layer
	if p.base == nil {
		files, err := baseFiles(ctx)
		if err != nil {
			return nil, err
		}
		if own, err = layer(files, p.created); err != nil {
			return nil, fmt.Errorf("make the base layer: %w", err)
		}
	}
	for _, platform := range p.platforms {
		if !ofImages(platform) {
			continue
		}
		var err error
		if p.base != nil {
			b.base[platform.String()], err = remote.Image(*p.base, remote.WithContext(ctx), remote.WithPlatform(platform),
				remote.WithAuthFromKeychain(authn.DefaultKeychain))
		} else {
			b.base[platform.String()], err = mutate.AppendLayers(emptyImage(), own)
		}
		if err != nil {
			return nil, fmt.Errorf("take the base image for %s: %w", platform, err)
		}
	}
	return b, nil
}

// emptyImage is one in the formats of OCI.
func emptyImage() v1.Image {
	return mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
}

// layer is a layer of some files.
func layer(files []entry, at time.Time) (v1.Layer, error) {
	var content bytes.Buffer
	if err := writeTar(&content, files, at); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// images makes every image from the programs that were built.
func (b *baker) images(built []program) ([]multiImage, error) {
	var images []multiImage
	for _, r := range recipes() {
		image := multiImage{name: r.name}
		var adds []mutate.IndexAddendum
		for _, platform := range b.plan.platforms {
			if !ofImages(platform) {
				continue
			}
			one, err := b.image(r, platform, built)
			if err != nil {
				return nil, fmt.Errorf("make the image %s for %s: %w", r.name, platform, err)
			}
			image.platforms = append(image.platforms, *one)
			adds = append(adds, mutate.IndexAddendum{Add: one.image, Descriptor: v1.Descriptor{Platform: &one.platform}})
		}
		index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), adds...)
		image.index = mutate.Annotations(index, b.labels(r)).(v1.ImageIndex)
		var err error
		if image.digest, err = image.index.Digest(); err != nil {
			return nil, fmt.Errorf("make the image %s: %w", r.name, err)
		}
		images = append(images, image)
	}
	return images, nil
}

func (b *baker) image(r recipe, platform v1.Platform, built []program) (*platformImage, error) {
	one := &platformImage{platform: platform}
	image := b.base[platform.String()]
	for _, name := range r.programs {
		found, err := find(built, name, platform)
		if err != nil {
			return nil, err
		}
		one.programs = append(one.programs, found)
		// A layer for each program: images share them.
		programLayer, err := layer([]entry{{name: name, mode: 0o755, path: found.path}}, b.plan.created)
		if err != nil {
			return nil, err
		}
		if image, err = mutate.AppendLayers(image, programLayer); err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Created = v1.Time{Time: b.plan.created}
	for i := range config.History {
		config.History[i].Created = config.Created
	}
	config.Config = v1.Config{
		User: fmt.Sprintf("%d:%d", nonRoot, nonRoot), WorkingDir: "/", Entrypoint: []string{"/" + r.programs[0]}, Labels: b.labels(r),
		Env: []string{"PATH=/", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
	}
	one.image, err = mutate.ConfigFile(image, config)
	return one, err
}

// labels are those that github.com/opencontainers/image-spec/blob/main/annotations.md defines.
func (b *baker) labels(r recipe) map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":    r.title,
		"org.opencontainers.image.version":  b.plan.version,
		"org.opencontainers.image.created":  b.plan.created.Format(time.RFC3339),
		"org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.url":      project,
	}
	if b.plan.revision != "" {
		labels["org.opencontainers.image.revision"] = b.plan.revision
	}
	if b.plan.base != nil {
		labels["org.opencontainers.image.base.name"] = b.plan.base.Context().Name()
		labels["org.opencontainers.image.base.digest"] = b.plan.base.DigestStr()
	}
	return labels
}

// find is the program of a name and platform.
func find(built []program, name string, platform v1.Platform) (program, error) {
	for _, p := range built {
		if p.name == name && p.platform.Equals(platform) {
			return p, nil
		}
	}
	return program{}, fmt.Errorf("%s was not built for %s", name, platform)
}
