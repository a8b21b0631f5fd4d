// Package schemas holds the JSON schemas of what transfers keep in the bucket.
package schemas

import _ "embed"

// Manifest is the schema of an archive's manifest, Index that of a transfer's index, both
// of the version that is written now. Report is that of what cargoship report prints.
var (
	//go:embed manifest.v2.json
	Manifest []byte
	//go:embed index.v2.json
	Index []byte
	//go:embed report.v1.json
	Report []byte
)
