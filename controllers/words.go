package controllers

import (
	"slices"
	"strings"
	"unicode"

	"cargoship.dev/operator/api/v1alpha1"
)

// What a worker says is shown as a worker's word and never as ours: its image is the
// user's choice.

// maxWorkerMessage bounds a message of a worker, in bytes.
const maxWorkerMessage = 512

// blockedReason is a reason that workers are known to be blocked for, or that they are.
func blockedReason(reason string) string {
	if slices.Contains(v1alpha1.BlockedReasons(), reason) {
		return reason
	}
	return v1alpha1.ReasonWorkerBlocked
}

// word makes a worker's reason one word of letters and digits.
func word(reason string) string {
	letters := func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}
	w := truncate(strings.Map(letters, truncate(reason, 64)), 64)
	if w == "" || !unicode.IsLetter(rune(w[0])) {
		return v1alpha1.ReasonUnspecified
	}
	return strings.ToUpper(w[:1]) + w[1:]
}

// printable is a worker's message, bounded, with a space for what cannot be printed.
func printable(message string) string {
	return truncate(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, truncate(message, maxWorkerMessage)), maxWorkerMessage)
}
