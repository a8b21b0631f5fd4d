package coordinator

import (
	"strings"
	"unicode"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
)

// What a worker says is shown as a worker's word and never as ours: its image is the
// user's choice.

// word makes a worker's reason one word of letters and digits.
func word(reason string) string {
	letters := func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}
	w := objects.Truncate(strings.Map(letters, objects.Truncate(reason, 64)), 64)
	if w == "" || !unicode.IsLetter(rune(w[0])) {
		return v1alpha1.ReasonUnspecified
	}
	return strings.ToUpper(w[:1]) + w[1:]
}

// printable is a worker's message, bounded, with a space for what cannot be printed.
func printable(message string) string {
	return objects.Truncate(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, objects.Truncate(message, objects.MaxWorkerMessage)), objects.MaxWorkerMessage)
}
