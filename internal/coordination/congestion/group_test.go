package congestion

import "testing"

// 503s of two groups coincide if they do so more often than they would by chance, over
// the rounds in which both were loaded.
func TestCoincide(t *testing.T) {
	for name, test := range map[string]struct {
		throttled, others, rounds uint16
		want                      bool
	}{
		"always throttled, so nothing tells": {0xffff, 0xffff, 0xffff, false},
		"throttled in the same rounds":       {0b1001_0010_0000_1000, 0b1001_0010_0000_1000, 0xffff, true},
		"throttled in turn":                  {0b1010_1010_1010_1010, 0b0101_0101_0101_0101, 0xffff, false},
		"throttled often, each by itself":    {0b1110_1101_1011_0111, 0b1011_0111_1110_1101, 0xffff, false},
		"together three times":               {0b1001_0010_0000_0000, 0b1001_0010_0000_0000, 0xffff, true},
		"together twice":                     {0b1001_0000_0000_0000, 0b1001_0000_0000_0000, 0xffff, false},
		"together once, and else never":      {0b1, 0b1, 0xffff, false},
		"the same rounds, one never loaded":  {0b1001_0010_0000_1000, 0b1001_0010_0000_1000, 0, false},
	} {
		if got := coincide(test.throttled, test.others, test.rounds); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if got := coincide(test.others, test.throttled, test.rounds); got != test.want {
			t.Errorf("%s, the other way round: %v, want %v", name, got, test.want)
		}
	}
}
