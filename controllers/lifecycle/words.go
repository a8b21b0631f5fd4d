package lifecycle

import (
	"slices"
	"strconv"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
)

// What a worker says is shown as a quotation, never as our own statement: the user chooses
// its image.

// blockedReason returns the reason if it is a known one of blocked workers, otherwise
// WorkerBlocked.
func blockedReason(reason string) string {
	if slices.Contains(v1alpha1.BlockedReasons(), reason) {
		return reason
	}
	return v1alpha1.ReasonWorkerBlocked
}

// quotedWithin is a text between quotes, with everything that does not print escaped, in at
// most about n bytes.
func quotedWithin(text string, n int) string {
	for most := n; ; most /= 2 {
		if q := strconv.Quote(objects.Truncate(text, most)); len(q) <= n || most <= 16 {
			return q
		}
	}
}
