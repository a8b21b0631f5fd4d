package objects

import "testing"

func TestTruncateKeepsCharactersWhole(t *testing.T) {
	for n := 4; n < 12; n++ {
		got := Truncate("äöüäöüäöü", n)
		if len(got) > n {
			t.Errorf("truncate to %d bytes gave %d", n, len(got))
		}
		for _, r := range got {
			if r == '\uFFFD' {
				t.Errorf("truncate to %d bytes cut a character: %q", n, got)
			}
		}
	}
}
