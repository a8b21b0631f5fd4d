package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nonRoot is the user and group of every image, as in distroless images.
const nonRoot = 65532

// baseFiles are what a static program may need of a system: users, authorities, time zones, and
// a place for temporary files. They come from pinned modules and the toolchain, so they are the
// same on every machine, and with every version of them is one of the release.
func baseFiles(ctx context.Context) ([]entry, error) {
	zones, err := timeZones(ctx)
	if err != nil {
		return nil, err
	}
	text := func(name, content string) entry { return entry{name: name, mode: 0o644, content: []byte(content)} }
	return append(zones,
		text("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"+
			"nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"),
		text("etc/group", "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"),
		text("etc/nsswitch.conf", "hosts: files dns\n"),
		entry{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: authorities()},
		entry{name: "home/nonroot/", mode: 0o700, owner: nonRoot},
		entry{name: "root/", mode: 0o700},
		entry{name: "tmp/", mode: 0o1777},
	), nil
}

// authorities are the roots that Mozilla trusts without conditions; a list of certificates
// cannot express those for which there are any.
func authorities() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return text.Bytes()
}

// timeZones are those that come with the Go toolchain.
func timeZones(ctx context.Context) ([]entry, error) {
	root, err := output(exec.CommandContext(ctx, "go", "env", "GOROOT"))
	if err != nil {
		return nil, fmt.Errorf("find the time zones: %w", err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, fmt.Errorf("read the time zones of the Go toolchain: %w", err)
	}
	defer func() { _ = archive.Close() }()
	var zones []entry
	for _, file := range archive.File {
		if strings.HasSuffix(file.Name, "/") {
			continue
		}
		content, err := file.Open()
		if err != nil {
			return nil, fmt.Errorf("read the time zone %s: %w", file.Name, err)
		}
		zone, err := io.ReadAll(content)
		_ = content.Close()
		if err != nil {
			return nil, fmt.Errorf("read the time zone %s: %w", file.Name, err)
		}
		zones = append(zones, entry{name: "usr/share/zoneinfo/" + file.Name, mode: 0o644, content: zone})
	}
	return zones, nil
}
