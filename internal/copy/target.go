package copy

import (
	"fmt"
	"strings"

	"cargoship.dev/operator/internal/endpoint"
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
func ParseEndpoint(text string) error {
	if err := endpoint.Check(text); err != nil {
		return fmt.Errorf("endpoint URL: %w", err)
	}
	return nil
}
