package cli

import (
	"os/exec"
	"testing"
)

// The names are quoted as GNU ls does, and a shell reads them back.
func TestNamesAreQuotedAsLsDoes(t *testing.T) {
	for name, want := range map[string]string{
		"plain-name_1.txt":     "plain-name_1.txt",
		"grüße/übung":          "grüße/übung",
		"report [2026].txt":    "'report [2026].txt'",
		"it's":                 `"it's"`,
		"a\nb":                 `'a'$'\n''b'`,
		"\x1b[31mred":          `''$'\033''[31mred'`,
		"bad\xff":              `'bad'$'\377'`,
		"it's $HOME":           `'it'\''s $HOME'`,
		"\u202egnp.exe":        `''$'\342\200\256''gnp.exe'`,
		"two\x01\x02end'quote": `'two'$'\001\002''end'\''quote'`,
		"":                     "''",
	} {
		got := Quote(name)
		if got != want {
			t.Errorf("%q is quoted %s, want %s", name, got, want)
		}
		back, err := exec.Command("bash", "-c", "printf %s "+got).Output()
		if err != nil || string(back) != name {
			t.Errorf("a shell reads %s as %q, %v", got, back, err)
		}
	}
}

func TestMessagesAreHarmless(t *testing.T) {
	if got, want := Printable("open \x1b[2Ja\nb: ü"), `open \033[2Ja\nb: ü`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
