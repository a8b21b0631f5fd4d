package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// writeLayout writes everything as an OCI image layout, from which other tools can copy it to
// a registry of their own.
func writeLayout(dir string, things []thing) error {
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write the image layout: %w", err)
	}
	for _, t := range things {
		named := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": t.ref.Name()})
		switch content := t.content.(type) {
		case v1.ImageIndex:
			err = path.AppendIndex(content, named)
		case v1.Image:
			err = path.AppendImage(content, named)
		default:
			err = fmt.Errorf("it is neither an index nor an image: %T", content)
		}
		if err != nil {
			return fmt.Errorf("write %s into the image layout: %w", t.ref, err)
		}
	}
	return nil
}

// push writes everything to the registry, and overwrites nothing that is there.
func push(ctx context.Context, things []thing) error {
	pusher, err := remote.NewPusher(remoteOptions(ctx)...)
	if err != nil {
		return fmt.Errorf("push the release: %w", err)
	}
	for _, t := range things {
		if err := free(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range things {
		say("pushing %s", t.ref)
		if err := pusher.Push(ctx, t.ref, t.content); err != nil {
			return fmt.Errorf("push %s: %w%s", t.ref, err, advice(err))
		}
	}
	return nil
}

func remoteOptions(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
}

// free makes sure that a tag is not taken by anything else: who has pulled a version must
// find the same one again.
func free(ctx context.Context, t thing) error {
	tag, ok := t.ref.(name.Tag)
	if !ok {
		return nil
	}
	there, err := remote.Head(tag, remoteOptions(ctx)...)
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for %s: %w%s", tag, err, advice(err))
	}
	digest, err := t.content.Digest()
	if err != nil {
		return err
	}
	if there.Digest != digest {
		return fmt.Errorf("push %s: the registry has it already, as %s, and this one is %s; release another version", tag, there.Digest, digest)
	}
	return nil
}

// advice is what to do about an error of a registry, or nothing.
func advice(err error) string {
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return "; log in to it first, for instance with helm registry login"
	}
	return ""
}

// summarize prints what was made and how large it is.
func summarize(p *plan, things []thing) {
	for _, t := range things {
		digest, err := t.content.Digest()
		if tag, ok := t.ref.(name.Tag); ok && err == nil {
			fmt.Printf("%s@%s\n", tag.Name(), digest)
		}
	}
	entries, err := os.ReadDir(p.out)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && !entry.IsDir() {
			fmt.Printf("%10d  %s\n", info.Size(), entry.Name())
		}
	}
}
