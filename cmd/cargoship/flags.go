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

// addDestinationFlags adds the flags that every command needs to reach a bucket. Defaults
// come from the same places as those of the AWS CLI.
func addDestinationFlags(flags *pflag.FlagSet, d *s3.Options) {
	d.Ambient = true
	flags.StringVar(&d.Endpoint, "endpoint-url", "", "URL of the S3 server; Amazon S3 by default")
	flags.StringVar(&d.Region, "region", "", "region of the bucket")
	flags.BoolFunc("path-style", "put the bucket in the path instead of the host name", func(text string) (err error) {
		d.StyleGiven = true
		d.PathStyle, err = strconv.ParseBool(text)
		return err
	})
	flags.StringVar(&d.CredentialsDir, "credentials-dir", "", "directory with the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if needed, AWS_SESSION_TOKEN")
	flags.StringVar(&d.CAFile, "ca-file", "", "PEM file with the CA certificates to trust instead of the system's")
	flags.BoolVar(&d.Asked.RequesterPays, "requester-pays", false, "pay for requests to a Requester Pays bucket")
	flags.StringVar(&d.Asked.ExpectedBucketOwner, "expected-bucket-owner", "", "account ID that must own the bucket")
}

// askedFlags are the settings of stored objects that some buckets require, and of how they are sent.
type askedFlags struct{ until string }

func (a *askedFlags) add(flags *pflag.FlagSet, d *s3.Options) {
	flags.StringVar(&d.StorageClass, "storage-class", "", "storage class of the objects; the bucket's default otherwise")
	flags.StringVar(&d.SSE, "sse", "", "server-side encryption, AES256 or aws:kms; the bucket's default otherwise")
	flags.StringVar(&d.KMSKeyID, "sse-kms-key-id", "", "key for aws:kms; the account's default otherwise")
	flags.BoolVar(&d.Asked.BucketKey, "bucket-key", false, "use an S3 Bucket Key with aws:kms, for fewer requests to the KMS")
	flags.StringToStringVar(&d.Tags, "tags", nil, "object tags, as KEY=VALUE,KEY=VALUE")
	flags.BoolVar(&d.UnsignedPayload, "unsigned-payload", false, "leave content out of signatures over plain HTTP, too: half the CPU for large files, but only for networks on which nobody can alter it")
	flags.StringVar(&d.Asked.ACL, "acl", "", "canned ACL of all objects, such as bucket-owner-full-control")
	flags.StringVar(&d.Asked.ObjectLock.Mode, "object-lock-mode", "", "GOVERNANCE or COMPLIANCE; requires --object-lock-retain-until")
	flags.StringVar(&a.until, "object-lock-retain-until", "", "when the lock on the files' objects ends, such as 2036-01-31T00:00:00Z")
	flags.BoolVar(&d.Asked.ObjectLock.LegalHold, "object-lock-legal-hold", false, "place a legal hold on the files' objects")
}

// complete parses the time.
func (a *askedFlags) complete(d *s3.Options) (err error) {
	if a.until == "" {
		return nil
	}
	if d.Asked.ObjectLock.Until, err = time.Parse(time.RFC3339, a.until); err != nil {
		return fmt.Errorf("--object-lock-retain-until: invalid time %q: use RFC 3339, such as 2036-01-31T00:00:00Z", a.until)
	}
	if d.Asked.ObjectLock.Until.Before(time.Now()) {
		return fmt.Errorf("--object-lock-retain-until: %s is in the past", a.until)
	}
	return nil
}

// completeTarget parses s3://BUCKET/PREFIX and returns the prefix.
func completeTarget(target string, d *s3.Options) (base string, err error) {
	if d.Bucket, base, err = copy.ParseTarget(target); err != nil {
		return "", err
	}
	return base, copy.ParseEndpoint(d.Endpoint)
}

func addSourceFlags(flags *pflag.FlagSet, include, exclude *[]string) {
	flags.StringArrayVar(include, "include", nil, "include only files that match this pattern, such as 'logs/**/*.gz'; may be repeated")
	flags.StringArrayVar(exclude, "exclude", nil, "exclude files that match this pattern; may be repeated and overrides --include")
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
	digest      archive.DigestAlgorithm
	target      string
	large       string
}

func (p *packingFlags) add(flags *pflag.FlagSet, l *archive.Layout) {
	p.format, p.compression, p.digest = packingObjects, archive.Zstd, archive.DigestCRC64NVME
	flags.IntVar(&l.Count, "prefixes", 0, "maximum number of key prefixes to control separately; automatic by default")
	flags.Var(choice(&l.Pattern, archive.Mirror, archive.Hash), "pattern", "mirror keeps the directory tree, hash spreads files over two-digit prefixes; tar requires hash")
	flags.Var(choice(&p.format, packingObjects, packingTar), "packing", "objects stores each file as an object, tar packs files, directories and links into archives")
	flags.Var(choice(&p.compression, archive.Plain, archive.Zstd), "compression", "compression of archives: none or zstd")
	flags.IntVar(&p.level, "level", archive.DefaultLevel, "zstd compression level, from 1 to 22")
	flags.Var(choice(&p.digest, archive.DigestCRC64NVME, archive.DigestSHA256), "digest", "digest of each file in an archive: crc64nvme finds accidental damage, sha256 any change, at several times the CPU")
	flags.StringVar(&p.target, "target-size", "1Gi", "size of an archive before compression")
	flags.StringVar(&p.large, "large-file-threshold", "64Mi", "size above which a file is stored as a separate object")
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
	l.Tar = &archive.Tar{Name: archiveName(source), TargetSize: target, LargeFile: large, Compression: p.compression, Digest: p.digest}
	if p.compression == archive.Zstd {
		l.Tar.Level = p.level
	}
	if l.Pattern == "" {
		l.Pattern = archive.Hash
	}
	return nil
}

// other is the other packing with the same settings, and its layout, which has the pattern only
// if that goes with both packings.
func (p *packingFlags) other(l archive.Layout) (packingFlags, archive.Layout) {
	o := *p
	if o.format = packingTar; p.format == packingTar {
		o.format = packingObjects
	}
	if l.Pattern == archive.Mirror {
		l.Pattern = ""
	}
	return o, l
}

// parseSize reads a number of bytes as Kubernetes writes it, such as 64Mi.
func parseSize(text string) (int64, error) {
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return 0, fmt.Errorf("invalid size %q: use a number of bytes, such as 64Mi", text)
	}
	n, exact := q.AsInt64()
	if !exact || n < 0 {
		return 0, errors.New("must be a non-negative whole number of bytes")
	}
	return n, nil
}

// archiveName is the base name of the directory.
func archiveName(source string) string {
	if path, err := filepath.Abs(source); err == nil {
		if name := filepath.Base(path); name != string(filepath.Separator) {
			return name
		}
	}
	return "archive"
}
