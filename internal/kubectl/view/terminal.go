package view

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"cargoship.dev/operator/internal/cli"
)

// Terminal is what text is made for. The zero value is a pipe: lines of any length, without
// colors, in ASCII.
type Terminal struct {
	// Width is in columns, 0 for no bound.
	Width int
	// Color allows colors, Unicode characters beyond ASCII.
	Color, Unicode bool
}

// style is a color of text, as the parameter of an SGR sequence (ECMA-48, 8.3.117).
type style string

const (
	plain  style = ""
	bold   style = "1"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	faint  style = "2"
)

// paint colors a text, which must be safe already.
func (t Terminal) paint(s style, text string) string {
	if !t.Color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// safe is a text of somebody else's without anything that would move the cursor, and in ASCII
// where that is all that the terminal shows.
func (t Terminal) safe(text string) string {
	text = cli.Printable(text)
	if t.Unicode {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		if r < utf8.RuneSelf {
			out.WriteRune(r)
			continue
		}
		for _, b := range []byte(string(r)) {
			fmt.Fprintf(&out, `\%03o`, b)
		}
	}
	return out.String()
}

// cut shortens a text to so many columns, 0 for any number.
func (t Terminal) cut(text string, columns int) string { return t.shorten(text, columns, 0) }

// squeeze does so in the middle, since names differ at their ends.
func (t Terminal) squeeze(text string, columns int) string {
	return t.shorten(text, columns, (columns-1)/2)
}

// shorten keeps so many columns of the end of a text.
func (t Terminal) shorten(text string, columns, end int) string {
	width := uniseg.StringWidth(text)
	if columns <= 0 || width <= columns {
		return text
	}
	mark := "~"
	if t.Unicode {
		mark = "…"
	}
	var head, tail strings.Builder
	used := 0
	for graphemes := uniseg.NewGraphemes(text); graphemes.Next(); {
		used += graphemes.Width()
		switch {
		case used <= columns-1-end:
			head.WriteString(graphemes.Str())
		case used-graphemes.Width() >= width-end:
			tail.WriteString(graphemes.Str())
		}
	}
	return head.String() + mark + tail.String()
}

// wrap breaks a text into lines within the terminal, each after an indent.
func (t Terminal) wrap(text, indent string) []string {
	room := t.Width - len(indent)
	if t.Width == 0 || room < 10 {
		return []string{indent + text}
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case uniseg.StringWidth(line)+1+uniseg.StringWidth(word) <= room:
			line += " " + word
		default:
			lines = append(lines, indent+t.cut(line, room))
			line = word
		}
	}
	return append(lines, indent+t.cut(line, room))
}

// bar shows a part of a whole in so many columns.
func (t Terminal) bar(percent int32, columns int) string {
	filled := min(int(percent)*columns/100, columns)
	if t.Unicode {
		return strings.Repeat("█", filled) + strings.Repeat("░", columns-filled)
	}
	return strings.Repeat("#", filled) + strings.Repeat("-", columns-filled)
}
