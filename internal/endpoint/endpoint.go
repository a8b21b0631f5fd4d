// Package endpoint says what the URL of an S3 server may be, and which bucket it leads to.
package endpoint

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Pattern is what an endpoint looks like, as the CRD has it too: no user, password, query,
// fragment or escape.
const Pattern = `^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~+=-]*)*$`

const advice = `must be like https://s3.example.com or http://127.0.0.1:9000, without user, password, query or fragment; ` +
	`credentials belong in a Secret or in the environment`

// Check says what is wrong with an endpoint; an empty one means Amazon S3. The error
// leaves the endpoint out, since a password may be in it.
func Check(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	if _, err := parse(endpoint); err != nil {
		return err
	}
	return nil
}

func parse(endpoint string) (*url.URL, error) {
	if !regexp.MustCompile(Pattern).MatchString(endpoint) {
		return nil, errors.New(advice)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New(advice)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errors.New("the port must be between 1 and 65535")
		}
	}
	if slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." }) {
		return nil, errors.New("the path must hold no '.' or '..' as a segment")
	}
	return u, nil
}

// Domain names a bucket of a server. However the same bucket is written, its name is the
// same, as far as URLs tell: by an explicit endpoint of AWS or none, by another case, a
// default port, a trailing dot or slash, or with the bucket in the endpoint already.
func Domain(endpoint, region, bucket string) string {
	if region == "" {
		region = "us-east-1"
	}
	if endpoint == "" {
		return "aws:" + region + "/" + bucket
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint + "/" + bucket // Check keeps such from being admitted.
	}
	host := canonicalHost(u.Hostname())
	if explicit, aws := awsRegion(host); aws {
		if explicit != "" {
			region = explicit
		}
		return "aws:" + region + "/" + bucket
	}
	return withPort(withoutBucket(host, bucket), u.Port()) + canonicalPath(u.Path, bucket) + "/" + bucket
}

func canonicalHost(host string) string {
	host = strings.TrimRight(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}

// withPort leaves out the default ports. What listens on either of them serves the same
// buckets, so the scheme does not count.
func withPort(host, port string) string {
	if n, err := strconv.ParseUint(port, 10, 16); err == nil && n != 80 && n != 443 {
		return net.JoinHostPort(host, strconv.FormatUint(n, 10))
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// withoutBucket takes the bucket off a host that begins with it.
func withoutBucket(host, bucket string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	for {
		rest, begins := strings.CutPrefix(host, strings.ToLower(bucket)+".")
		if !begins || !strings.Contains(rest, ".") {
			return host
		}
		host = rest
	}
}

// canonicalPath is the path before the bucket, without one that ends in the bucket.
func canonicalPath(p, bucket string) string {
	p = strings.TrimSuffix(path.Clean("/"+p), "/")
	for strings.HasSuffix(p, "/"+bucket) {
		p = strings.TrimSuffix(p, "/"+bucket)
	}
	return p
}

// awsRegion tells whether a host is one of Amazon S3, and its region if it names one. A
// bucket has one name whether it is asked by s3.REGION, s3-REGION, s3.dualstack.REGION,
// s3-fips, s3-accelerate or an endpoint in a VPC.
func awsRegion(host string) (region string, aws bool) {
	rest, global := strings.CutSuffix(host, ".amazonaws.com")
	if !global {
		var china bool
		if rest, china = strings.CutSuffix(host, ".amazonaws.com.cn"); !china {
			return "", false
		}
	}
	regions := regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	labels := strings.Split(rest, ".")
	for i := len(labels) - 1; i >= 0; i-- {
		legacy, isLegacy := strings.CutPrefix(labels[i], "s3-")
		switch {
		case isLegacy && legacy == "external-1":
			return "us-east-1", true
		case isLegacy && regions.MatchString(legacy):
			return cmp.Or(region, legacy), true
		case labels[i] == "s3" || isLegacy:
			return region, true
		case region == "" && regions.MatchString(labels[i]):
			region = labels[i]
		}
	}
	return "", false
}
