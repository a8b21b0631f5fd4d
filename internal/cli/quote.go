package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shellSpecial are the printable characters that are special to a shell.
const shellSpecial = " !\"$&'()*;<=>?[\\]^`{|}"

// Quote quotes a name as GNU ls does on a terminal, so that a shell reads it back. It leaves
// plain names as they are, and escapes all bytes that are not printable.
func Quote(name string) string {
	if name != "" && !strings.ContainsAny(name, shellSpecial) && !strings.ContainsAny(name[:1], "#~") && allPrintable(name) {
		return name
	}
	if strings.Contains(name, "'") && allPrintable(name) && !strings.ContainsAny(name, "\"$`\\!") {
		return `"` + name + `"`
	}
	var out strings.Builder
	out.WriteByte('\'')
	escaped := false
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		ok := printableRune(r, size)
		if ok == escaped {
			// 'a'$'\n''b'
			out.WriteString(map[bool]string{true: "''", false: "'$'"}[ok])
			escaped = !ok
		}
		switch {
		case r == '\'':
			out.WriteString(`'\''`)
		case ok:
			out.WriteString(name[i : i+size])
		default:
			out.WriteString(escape(name[i : i+size]))
		}
		i += size
	}
	out.WriteByte('\'')
	return out.String()
}

// escape escapes bytes as in $'…'.
func escape(bytes string) string {
	if letter, ok := map[string]string{"\a": `\a`, "\b": `\b`, "\f": `\f`, "\n": `\n`, "\r": `\r`, "\t": `\t`, "\v": `\v`}[bytes]; ok {
		return letter
	}
	var out strings.Builder
	for _, b := range []byte(bytes) {
		fmt.Fprintf(&out, `\%03o`, b)
	}
	return out.String()
}

func allPrintable(s string) bool {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !printableRune(r, size) {
			return false
		}
		i += size
	}
	return true
}

func printableRune(r rune, size int) bool {
	return unicode.IsPrint(r) && (r != utf8.RuneError || size > 1)
}

// Printable escapes what is not printable in a message, which may contain file names or text from a server.
func Printable(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if printableRune(r, size) {
			out.WriteString(text[i : i+size])
		} else {
			out.WriteString(escape(text[i : i+size]))
		}
		i += size
	}
	return out.String()
}
