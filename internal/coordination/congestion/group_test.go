package congestion

import "testing"

// Two groups are alike if their refusals coincide more often than they would by chance,
// over the rounds in which both were loaded.
func TestAlike(t *testing.T) {
	for name, test := range map[string]struct {
		g, h, loaded uint16
		want         bool
	}{
		"always refused, so nothing tells":  {0xffff, 0xffff, 0xffff, false},
		"refused in the same rounds":        {0b1001_0010_0000_1000, 0b1001_0010_0000_1000, 0xffff, true},
		"refused in turn":                   {0b1010_1010_1010_1010, 0b0101_0101_0101_0101, 0xffff, false},
		"refused often, each by itself":     {0b1110_1101_1011_0111, 0b1011_0111_1110_1101, 0xffff, false},
		"together three times":              {0b1001_0010_0000_0000, 0b1001_0010_0000_0000, 0xffff, true},
		"together twice":                    {0b1001_0000_0000_0000, 0b1001_0000_0000_0000, 0xffff, false},
		"together once, and else never":     {0b1, 0b1, 0xffff, false},
		"the same rounds, one never loaded": {0b1001_0010_0000_1000, 0b1001_0010_0000_1000, 0, false},
	} {
		g, h := &group{refused: test.g, loaded: 0xffff}, &group{refused: test.h, loaded: test.loaded}
		if g.alike(h) != test.want || h.alike(g) != test.want {
			t.Errorf("%s: alike is %v, want %v", name, g.alike(h), test.want)
		}
	}
}
