package copy

import (
	"fmt"
	"net/url"
	"strings"
)

// ParseTarget splits s3://BUCKET/PREFIX into its bucket and base prefix; the
// prefix may be empty. It says what is wrong with anything else.
func ParseTarget(target string) (bucket, base string, err error) {
	rest, ok := strings.CutPrefix(target, "s3://")
	if !ok {
		return "", "", fmt.Errorf("destination %q: must be s3://BUCKET or s3://BUCKET/PREFIX", target)
	}
	bucket, base, _ = strings.Cut(rest, "/")
	if bucket == "" || strings.ContainsAny(bucket, " ?#@:%") {
		return "", "", fmt.Errorf("destination %q: %q is no bucket name: use s3://BUCKET or s3://BUCKET/PREFIX", target, bucket)
	}
	return bucket, strings.TrimSuffix(base, "/"), nil
}

// ParseEndpoint checks an endpoint URL; an empty one means Amazon S3.
func ParseEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("endpoint URL %q: must be like https://s3.example.com or http://127.0.0.1:9000", endpoint)
	}
	return nil
}
