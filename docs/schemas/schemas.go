// Package schemas holds the JSON schemas of what transfers keep in the bucket.
package schemas

import _ "embed"

// Manifest is the schema of an archive's manifest, Index that of a transfer's index.
var (
	//go:embed manifest.v1.json
	Manifest []byte
	//go:embed index.v1.json
	Index []byte
)
