package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/semver"
)

const (
	// allPlatforms are those of the command line, in the order in which they are built.
	allPlatforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64"
	// chartImages is where the chart of the repository takes its images from.
	chartImages = "cargoship"
	// project is where everything is at home that is not told otherwise.
	project = "https://cargoship.dev"
)

// options are what the command line chooses.
type options struct {
	source, out, version, registry, key, base, downloads, platforms, tools string
}

// plan is all that decides what a release is made of: the same plan gives the same bytes.
type plan struct {
	source, out, tools string
	// version is that of a semantic version, without the v.
	version string
	// created is the time of everything that has one.
	created time.Time
	// revision is the commit of the source, and whether there were changes beside it.
	revision string
	// images is where clusters pull from, and push whether the release is pushed there.
	images string
	push   bool
	// key signs, if there is one.
	key *key
	// base is the image that ours are made from; without one they are made from nothing.
	base *name.Digest
	// downloads is the URL of the directory that the archives will be in.
	downloads string
	platforms []v1.Platform
}

// newPlan checks the options and gathers what they leave to the source.
func newPlan(ctx context.Context, o options) (*plan, error) {
	p := &plan{images: chartImages, downloads: strings.TrimSuffix(o.downloads, "/")}
	var err error
	if p.source, err = filepath.Abs(o.source); err != nil {
		return nil, fmt.Errorf("find the source %s: %w", o.source, err)
	}
	if p.tools, err = filepath.Abs(o.tools); err != nil {
		return nil, fmt.Errorf("find the tools %s: %w", o.tools, err)
	}
	if p.out, err = newDirectory(o.out); err != nil {
		return nil, err
	}
	if p.version, err = chooseVersion(o.version, p.source); err != nil {
		return nil, err
	}
	if p.downloads == "" {
		p.downloads = project + "/releases/v" + p.version
	}
	if p.platforms, err = parsePlatforms(o.platforms); err != nil {
		return nil, err
	}
	if o.registry != "" {
		p.images, p.push = o.registry, true
	}
	if _, err := name.NewRepository(p.images+"/manager", name.StrictValidation); p.push && err != nil {
		return nil, fmt.Errorf("use the registry %q: %w; it must be a host and a path, such as registry.example.com/cargoship", o.registry, err)
	}
	if p.base, err = parseBase(o.base); err != nil {
		return nil, err
	}
	if p.key, err = readKey(o.key); err != nil {
		return nil, err
	}
	if p.created, err = sourceTime(ctx, p.source); err != nil {
		return nil, err
	}
	p.revision, err = revision(ctx, p.source)
	return p, err
}

// newDirectory is the absolute path of a directory that does not exist yet.
func newDirectory(path string) (string, error) {
	if path == "" {
		return "", errors.New("--out is required: the directory to make")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the directory %s: %w", path, err)
	}
	if _, err := os.Lstat(abs); err == nil {
		return "", fmt.Errorf("make the release in %s: it exists; remove it, or choose another directory", abs)
	}
	return abs, nil
}

// chooseVersion is the version that is given, or the chart's, without a leading v.
func chooseVersion(given, source string) (string, error) {
	version := strings.TrimPrefix(given, "v")
	if given == "" {
		path := filepath.Join(source, chartDir, "Chart.yaml")
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the chart's version: %w", err)
		}
		var chart struct{ Version string }
		if err := yaml.Unmarshal(text, &chart); err != nil {
			return "", fmt.Errorf("read the chart's version in %s: %w", path, err)
		}
		version = chart.Version
	}
	if v := "v" + version; !semver.IsValid(v) || semver.Canonical(v) != v {
		return "", fmt.Errorf("release version %q: it must be a semantic version without build metadata, such as 1.2.3 or 1.2.3-rc.1", version)
	}
	return version, nil
}

// parsePlatforms reads a list such as linux/amd64,windows/amd64.
func parsePlatforms(list string) ([]v1.Platform, error) {
	var platforms []v1.Platform
	for word := range strings.SplitSeq(list, ",") {
		if !slices.Contains(strings.Split(allPlatforms, ","), word) {
			return nil, fmt.Errorf("release for the platform %q: it must be one of %s", word, allPlatforms)
		}
		platform, err := v1.ParsePlatform(word)
		if err != nil {
			return nil, fmt.Errorf("release for the platform %q: %w", word, err)
		}
		if slices.ContainsFunc(platforms, platform.Equals) {
			return nil, fmt.Errorf("release for the platform %s: it is named twice", word)
		}
		platforms = append(platforms, *platform)
	}
	if !slices.ContainsFunc(platforms, ofImages) {
		return nil, fmt.Errorf("release for %s: images need a platform of Linux", list)
	}
	return platforms, nil
}

// ofImages tells whether images are made for a platform.
func ofImages(p v1.Platform) bool { return p.OS == "linux" }

func parseBase(text string) (*name.Digest, error) {
	if text == "" {
		return nil, nil
	}
	base, err := name.NewDigest(text)
	if err != nil {
		return nil, fmt.Errorf("use the base image %q: %w; name it by digest, since a tag may lead elsewhere tomorrow", text, err)
	}
	return &base, nil
}

// sourceTime is SOURCE_DATE_EPOCH (reproducible-builds.org/specs/source-date-epoch), or the
// time of the commit.
func sourceTime(ctx context.Context, source string) (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		var err error
		if text, err = git(ctx, source, "log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, fmt.Errorf("find the time of the source: %w; outside of a clone, set SOURCE_DATE_EPOCH", err)
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("find the time of the source: %q is not a number of seconds since 1970", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// revision is the commit, marked if the source has changes beside it; without git it is empty.
func revision(ctx context.Context, source string) (string, error) {
	commit, err := git(ctx, source, "rev-parse", "HEAD")
	if err != nil {
		return "", nil //nolint:nilerr // A source without a repository has no revision, which is no error.
	}
	changes, err := git(ctx, source, "status", "--porcelain")
	if err != nil {
		return "", fmt.Errorf("find out whether the source has changes: %w", err)
	}
	if changes != "" {
		commit += "-modified"
	}
	return commit, nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	out, err := output(exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...))
	return strings.TrimSpace(string(out)), err
}

// output runs a program and returns what it wrote; its error holds what it complained of.
func output(cmd *exec.Cmd) ([]byte, error) {
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out, nil
}
