package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	sumsFile   = "SHA256SUMS"
	publicFile = "cosign.pub"
)

// writeArchives writes an archive of the command line, and a bill of materials, for each
// platform, and the krew manifest that leads to the archives.
func writeArchives(p *plan, built []program, dir string) error {
	var archives []packed
	for _, platform := range p.platforms {
		cli, err := find(built, tool, platform)
		if err != nil {
			return err
		}
		archive, err := writeArchive(p, cli, dir)
		if err != nil {
			return fmt.Errorf("make the archive for %s: %w", platform, err)
		}
		archives = append(archives, *archive)
		text, err := bill(p, baseName(p, cli), []program{cli})
		if err != nil {
			return err
		}
		if err := writeFile(dir, baseName(p, cli)+".spdx.json", text); err != nil {
			return err
		}
	}
	manifest, err := krewManifest(p, archives)
	if err != nil {
		return fmt.Errorf("make the krew manifest: %w", err)
	}
	return writeFile(dir, "krew.yaml", manifest)
}

// baseName is what files of a program for one platform are called.
func baseName(p *plan, program program) string {
	return strings.Join([]string{program.name, p.version, program.platform.OS, program.platform.Architecture}, "_")
}

// writeArchive packs a program with the license: as zip for Windows, whose users have no tar.
func writeArchive(p *plan, program program, dir string) (*packed, error) {
	license, err := os.ReadFile(filepath.Join(p.source, "LICENSE"))
	if err != nil {
		return nil, err
	}
	entries := []entry{
		{name: "LICENSE", mode: 0o644, content: license},
		{name: program.fileName(), mode: 0o755, path: program.path},
	}
	var content bytes.Buffer
	file := baseName(p, program) + ".tar.gz"
	if program.platform.OS == "windows" {
		file = baseName(p, program) + ".zip"
		err = writeZip(&content, entries, p.created)
	} else {
		err = writeTarGzip(&content, entries, p.created)
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content.Bytes())
	return &packed{platform: program.platform, file: file, bin: program.fileName(), sha256: hex.EncodeToString(sum[:])},
		writeFile(dir, file, content.Bytes())
}

func writeFile(dir, name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // Everybody may read a release.
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// writeSums writes the checksums of all files, as sha256sum reads them, and signs them.
func writeSums(p *plan, dir string) error {
	if p.key != nil {
		if err := writeFile(dir, publicFile, p.key.public); err != nil {
			return err
		}
	}
	var sums bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		sum, err := fileSHA256(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(&sums, "%s  %s\n", sum, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		return fmt.Errorf("compute the checksums: %w", err)
	}
	if err := writeFile(dir, sumsFile, sums.Bytes()); err != nil || p.key == nil {
		return err
	}
	signature, err := p.key.sign(sums.Bytes())
	if err != nil {
		return err
	}
	return writeFile(dir, sumsFile+".sig", []byte(signature))
}

func fileSHA256(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("compute a checksum: %w", err)
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("compute the checksum of %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
