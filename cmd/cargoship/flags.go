package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/copy"
	"cargoship.dev/operator/internal/s3"
)

// addDestinationFlags adds what every command needs to reach a bucket. What is not given
// is taken from where the AWS tools take it.
func addDestinationFlags(flags *pflag.FlagSet, d *s3.Options) {
	d.Ambient = true
	flags.StringVar(&d.Endpoint, "endpoint-url", "", "URL of the S3 server; Amazon S3 by default")
	flags.StringVar(&d.Region, "region", "", "region of the bucket")
	flags.BoolFunc("path-style", "put the bucket into the path rather than the host name", func(text string) (err error) {
		d.StyleGiven = true
		d.PathStyle, err = strconv.ParseBool(text)
		return err
	})
	flags.StringVar(&d.CredentialsDir, "credentials-dir", "", "directory with the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if need be, AWS_SESSION_TOKEN")
	flags.StringVar(&d.CAFile, "ca-file", "", "certificates, as PEM, to trust instead of the system's")
	flags.BoolVar(&d.Asked.RequesterPays, "requester-pays", false, "agree to pay for requests to a bucket whose owner does not")
	flags.StringVar(&d.Asked.ExpectedBucketOwner, "expected-bucket-owner", "", "account that the bucket must be of")
}

// askedFlags are what buckets ask for with what is stored in them.
type askedFlags struct{ until string }

func (a *askedFlags) add(flags *pflag.FlagSet, d *s3.Options) {
	flags.StringVar(&d.StorageClass, "storage-class", "", "storage class of the objects; the bucket's default otherwise")
	flags.StringVar(&d.SSE, "sse", "", "server-side encryption, AES256 or aws:kms; the bucket's default otherwise")
	flags.StringVar(&d.KMSKeyID, "sse-kms-key-id", "", "key for aws:kms; the account's default otherwise")
	flags.BoolVar(&d.Asked.BucketKey, "bucket-key", false, "have aws:kms use a key of the bucket, which asks the KMS less often")
	flags.StringToStringVar(&d.Tags, "tags", nil, "tags of the objects, as KEY=VALUE,KEY=VALUE")
	flags.StringVar(&d.Asked.ACL, "acl", "", "canned ACL of all objects, such as bucket-owner-full-control")
	flags.StringVar(&d.Asked.ObjectLock.Mode, "object-lock-mode", "", "GOVERNANCE or COMPLIANCE, with --object-lock-retain-until")
	flags.StringVar(&a.until, "object-lock-retain-until", "", "until when the files' objects are locked, such as 2036-01-31T00:00:00Z")
	flags.BoolVar(&d.Asked.ObjectLock.LegalHold, "object-lock-legal-hold", false, "put a legal hold on the files' objects")
}

// complete reads the time.
func (a *askedFlags) complete(d *s3.Options) (err error) {
	if a.until == "" {
		return nil
	}
	if d.Asked.ObjectLock.Until, err = time.Parse(time.RFC3339, a.until); err != nil {
		return fmt.Errorf("--object-lock-retain-until: %q is no time: write one such as 2036-01-31T00:00:00Z", a.until)
	}
	if d.Asked.ObjectLock.Until.Before(time.Now()) {
		return fmt.Errorf("--object-lock-retain-until: %s is past", a.until)
	}
	return nil
}

// completeTarget takes in s3://BUCKET/PREFIX and returns the prefix.
func completeTarget(target string, d *s3.Options) (base string, err error) {
	if d.Bucket, base, err = copy.ParseTarget(target); err != nil {
		return "", err
	}
	return base, copy.ParseEndpoint(d.Endpoint)
}

func addSourceFlags(flags *pflag.FlagSet, include, exclude *[]string) {
	flags.StringArrayVar(include, "include", nil, "take only what this pattern matches, such as 'logs/**/*.gz'; may be repeated")
	flags.StringArrayVar(exclude, "exclude", nil, "leave out what this pattern matches; may be repeated and wins over --include")
}

const (
	packingObjects = "objects"
	packingTar     = "tar"
)

// packingFlags say how files become objects and keys.
type packingFlags struct {
	format      string
	compression archive.Compression
	level       int
	target      string
	large       string
}

func (p *packingFlags) add(flags *pflag.FlagSet, l *archive.Layout) {
	p.format, p.compression = packingObjects, archive.Zstd
	flags.IntVar(&l.Count, "prefixes", 0, "the most key prefixes to control separately; automatic by default")
	flags.Var(choice(&l.Pattern, archive.Mirror, archive.Hash), "pattern", "mirror keeps the tree, hash spreads over two-digit prefixes; the latter is the only one for tar")
	flags.Var(choice(&p.format, packingObjects, packingTar), "packing", "objects makes an object of each file, tar packs files, directories and links into archives")
	flags.Var(choice(&p.compression, archive.Plain, archive.Zstd), "compression", "of archives: none or zstd")
	flags.IntVar(&p.level, "level", archive.DefaultLevel, "of zstd, from 1 to 22")
	flags.StringVar(&p.target, "target-size", "1Gi", "what an archive is filled up to, before compression")
	flags.StringVar(&p.large, "large-file-threshold", "64Mi", "size above which a file is an object of its own")
}

// complete sets up the layout for what is copied from a directory.
func (p *packingFlags) complete(l *archive.Layout, source string) error {
	if p.format != packingTar {
		if l.Pattern == "" {
			l.Pattern = archive.Mirror
		}
		return nil
	}
	target, err := parseSize(p.target)
	if err != nil {
		return fmt.Errorf("--target-size: %w", err)
	}
	large, err := parseSize(p.large)
	if err != nil {
		return fmt.Errorf("--large-file-threshold: %w", err)
	}
	l.Tar = &archive.Tar{Name: archiveName(source), TargetSize: target, LargeFile: large, Compression: p.compression}
	if p.compression == archive.Zstd {
		l.Tar.Level = p.level
	}
	if l.Pattern == "" {
		l.Pattern = archive.Hash
	}
	return nil
}

// parseSize reads a number of bytes as Kubernetes writes it, such as 64Mi.
func parseSize(text string) (int64, error) {
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: write a number of bytes, such as 64Mi", text)
	}
	n, exact := q.AsInt64()
	if !exact || n < 0 {
		return 0, errors.New("must be a whole number of bytes that is not negative")
	}
	return n, nil
}

// archiveName is the name of the directory that is packed.
func archiveName(source string) string {
	if path, err := filepath.Abs(source); err == nil {
		if name := filepath.Base(path); name != string(filepath.Separator) {
			return name
		}
	}
	return "archive"
}
