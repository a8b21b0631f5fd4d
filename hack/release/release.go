package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
)

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "release: "+format+"\n", args...) }

// run makes the release: in a directory beside the one it will be, then under its name, and
// last in the registry.
func run(ctx context.Context, p *plan) error {
	if err := os.MkdirAll(filepath.Dir(p.out), 0o755); err != nil {
		return fmt.Errorf("make the release's directory: %w", err)
	}
	staged, err := os.MkdirTemp(filepath.Dir(p.out), ".release-")
	if err != nil {
		return fmt.Errorf("make the release's directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(staged) }()
	binaries, err := os.MkdirTemp("", "cargoship-release-")
	if err != nil {
		return fmt.Errorf("make a directory of programs: %w", err)
	}
	defer func() { _ = os.RemoveAll(binaries) }()
	built, err := build(ctx, p, binaries)
	if err != nil {
		return err
	}
	things, err := assemble(ctx, p, built, staged)
	if err != nil {
		return err
	}
	if err := writeLayout(filepath.Join(staged, "oci"), things); err != nil {
		return err
	}
	if err := writeSums(p, staged); err != nil {
		return err
	}
	if p.push {
		if err := push(ctx, things); err != nil {
			return err
		}
	}
	if err := os.Rename(staged, p.out); err != nil {
		return fmt.Errorf("put the release into its place: %w", err)
	}
	if err := os.Chmod(p.out, 0o755); err != nil { //nolint:gosec // It holds no secrets.
		return err
	}
	summarize(p, things)
	return nil
}

// assemble writes the files of the release into a directory, and returns what belongs in a
// registry.
func assemble(ctx context.Context, p *plan, built []program, dir string) ([]thing, error) {
	baker, err := newBaker(ctx, p)
	if err != nil {
		return nil, err
	}
	say("making images")
	images, err := baker.images(built)
	if err != nil {
		return nil, err
	}
	var things []thing
	for _, image := range images {
		some, err := imageThings(p, image)
		if err != nil {
			return nil, err
		}
		things = append(things, some...)
	}
	say("making chart and manifests")
	chart, err := writeChart(ctx, p, images, dir)
	if err != nil {
		return nil, err
	}
	things = append(things, chart...)
	install, err := installManifest(ctx, p, images)
	if err != nil {
		return nil, err
	}
	if err := writeFile(dir, "install.yaml", install); err != nil {
		return nil, err
	}
	if err := writeSchemas(p, dir); err != nil {
		return nil, err
	}
	say("making archives")
	return things, writeArchives(p, built, dir)
}

// thing is something that a registry keeps, under a tag or by its digest alone.
type thing struct {
	ref     name.Reference
	content taggable
}

// taggable is an index, an image or an artifact.
type taggable interface {
	partial.WithRawManifest
	Digest() (v1.Hash, error)
}

// imageThings are an image, the bills of materials of its platforms, and its signatures.
func imageThings(p *plan, image multiImage) ([]thing, error) {
	repository, err := name.NewRepository(p.images + "/" + image.name)
	if err != nil {
		return nil, err
	}
	things := []thing{{ref: repository.Tag(p.version), content: image.index}}
	signed := []v1.Hash{image.digest}
	for _, one := range image.platforms {
		digest, err := one.image.Digest()
		if err != nil {
			return nil, err
		}
		signed = append(signed, digest)
		attached, err := attachBill(p, image.name, one)
		if err != nil {
			return nil, err
		}
		own, err := attached.Digest()
		if err != nil {
			return nil, err
		}
		things = append(things, thing{ref: repository.Digest(own.String()), content: attached})
	}
	signatures, err := sign(p, repository, signed...)
	return append(things, signatures...), err
}

// Media types of a bill of materials beside an image (image-spec 1.1, guidelines for artifacts).
const (
	billType  = "application/spdx+json"
	emptyType = "application/vnd.oci.empty.v1+json"
)

// attachBill is the bill of materials of one platform's image, which refers to it.
func attachBill(p *plan, image string, one platformImage) (v1.Image, error) {
	text, err := bill(p, strings.Join([]string{"image", image, p.version, one.platform.OS, one.platform.Architecture}, "_"), one.programs)
	if err != nil {
		return nil, err
	}
	subject, err := partial.Descriptor(one.image)
	if err != nil {
		return nil, err
	}
	return newArtifact(blobs{kind: billType, configType: emptyType, config: []byte("{}"), content: billType, blob: text, subject: subject})
}

// sign signs manifests of a repository, if there is a key.
func sign(p *plan, repository name.Repository, digests ...v1.Hash) ([]thing, error) {
	if p.key == nil {
		return nil, nil
	}
	var things []thing
	for _, digest := range digests {
		signature, err := p.key.signManifest(repository.Digest(digest.String()))
		if err != nil {
			return nil, err
		}
		things = append(things, thing{ref: repository.Tag(signatureTag(digest)), content: signature})
	}
	return things, nil
}

// writeChart writes the packaged chart and returns it as a registry keeps it, with its
// signature.
func writeChart(ctx context.Context, p *plan, images []multiImage, dir string) ([]thing, error) {
	path, err := packageChart(ctx, p, images, dir)
	if err != nil {
		return nil, err
	}
	packaged, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the packaged chart: %w", err)
	}
	chart, err := chartArtifact(p, packaged)
	if err != nil {
		return nil, fmt.Errorf("make an artifact of the chart: %w", err)
	}
	digest, err := chart.Digest()
	if err != nil {
		return nil, err
	}
	repository, err := name.NewRepository(p.images + "/charts/" + tool)
	if err != nil {
		return nil, err
	}
	signatures, err := sign(p, repository, digest)
	return append([]thing{{ref: repository.Tag(p.version), content: chart}}, signatures...), err
}
