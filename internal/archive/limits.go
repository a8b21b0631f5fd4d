package archive

import "fmt"

// The largest plan of a transfer; the manager rejects a larger one.
const (
	maxPlannedArchives = 100_000_000
	maxPlannedFiles    = 100_000_000_000
	maxPlannedBytes    = 1 << 53
)

// ReasonSourceTooLarge says that a source is more than one transfer can move.
const ReasonSourceTooLarge = "SourceTooLarge"

// tooLargeError says that a source is more than one transfer can move.
type tooLargeError struct{ total PlannedPrefix }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("list the source: it has more than %d archives, %d files or %d bytes, the maximum of one transfer; "+
		"split it into several transfers with include patterns", int64(maxPlannedArchives), int64(maxPlannedFiles), int64(maxPlannedBytes))
}

func (*tooLargeError) Reason() string { return ReasonSourceTooLarge }

// add counts what another prefix, or another archive, has. Each has at most as many bytes
// as a file can, so that the sum is checked long before it overflows.
func (p *PlannedPrefix) add(q PlannedPrefix) {
	p.Archives += q.Archives
	p.Files += q.Files
	p.Bytes = min(maxPlannedBytes+1, p.Bytes) + min(maxPlannedBytes+1, q.Bytes)
}

func (p PlannedPrefix) tooLarge() error {
	if p.Archives > maxPlannedArchives || p.Files > maxPlannedFiles || p.Bytes > maxPlannedBytes {
		return &tooLargeError{p}
	}
	return nil
}
