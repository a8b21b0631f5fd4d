package protocol

import "strings"

// SaturatingAdd adds counts that are not negative.
func SaturatingAdd(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return MaxNumber
}

// SaturatingMul multiplies what is not negative.
func SaturatingMul(a, b int64) int64 {
	if a > 0 && b > MaxNumber/a {
		return MaxNumber
	}
	return a * b
}

// Truncate cuts a text to so many bytes at most, between characters.
func Truncate(text string, length int) string {
	if len(text) <= length {
		return text
	}
	return strings.ToValidUTF8(text[:length], "")
}
