package protocol

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseRecord(t *testing.T) {
	tests := map[string]struct {
		text, want string
		wantErr    string
	}{
		"plain":                  {text: "0-41,43-99", want: "0-41,43-99"},
		"plain, out of order":    {text: "7,3", wantErr: "precedes"},
		"from 0":                 {text: "packed,s", want: "0-2"},
		"the API's example":      {text: "packed,gqg5", want: "0-41,43-99"},
		"not from 0":             {text: "packed,JA", want: "2-3"},
		"nothing":                {text: "packed,", wantErr: "ends within"},
		"no run":                 {text: "packed,g", wantErr: "does not end"},
		"ends with a gap":        {text: "packed,4", wantErr: "does not end"},
		"ends within a length":   {text: "packed,gA", wantErr: "ends within"},
		"no digit":               {text: "packed,4+", wantErr: "no digit"},
		"filled with more":       {text: "packed,wA", wantErr: "ends within"},
		"longer than any number": {text: "packed,g" + strings.Repeat("A", 11) + "_" + strings.Repeat("_", 11), wantErr: "63 binary digits"},
		"above the last number":  {text: "packed,g" + strings.Repeat("A", 9) + "H" + strings.Repeat("_", 10) + "g", wantErr: "run ends above"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseRecord(test.text)
			if test.wantErr == "" {
				must(t, err)
			} else if err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Fatalf("error %v, want one about %q", err, test.wantErr)
			}
			if got.String() != test.want {
				t.Errorf("%q reads as %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestPackedRangesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Ranges
		next := rapid.Int64Range(0, 3).Draw(t, "first")
		for range rapid.IntRange(0, 40).Draw(t, "runs") {
			last := next + rapid.Int64Range(0, 1<<rapid.IntRange(0, 40).Draw(t, "digits")).Draw(t, "length")
			r.AddRange(next, last)
			next = last + 2 + rapid.Int64Range(0, 1<<rapid.IntRange(0, 40).Draw(t, "digits")).Draw(t, "gap")
		}
		again, err := ParseRecord(r.Packed())
		if err != nil || !again.Equal(r) {
			t.Fatalf("%s is packed as %s, which reads as %s: %v", r, r.Packed(), again, err)
		}
	})
}

func TestTheLastNumberIsPacked(t *testing.T) {
	for _, text := range []string{"0-9223372036854775806", "9223372036854775806", "0,9223372036854775806"} {
		r, err := ParseRanges(text)
		must(t, err)
		again, err := ParseRecord(r.Packed())
		if err != nil || again.String() != text || r.End() != math.MaxInt64 {
			t.Errorf("%s reads as %s: %v", text, again, err)
		}
	}
}

// A manager that knows the plain form only refuses the packed one, which it would otherwise take
// for other archives, and names it.
func TestPackedRangesAreNoPlainOnes(t *testing.T) {
	r, err := ParseRanges("0-41,43-99")
	must(t, err)
	if _, err := ParseRanges(r.Packed()); err == nil || !strings.Contains(err.Error(), `"packed" is not a number`) {
		t.Errorf("%s is taken for plain ranges: %v", r.Packed(), err)
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, seed := range []string{"", "0-41,43-99", "packed,", "packed,4", "packed,JA", "packed,s", "packed,AAAAAAAAAAAA", "packed"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(text)
		if err != nil {
			return
		}
		if r.String() != text && r.Packed() != text {
			t.Errorf("%q reads as %q", text, r)
		}
		if again, err := ParseRecord(r.Packed()); err != nil || !again.Equal(r) {
			t.Errorf("%q is packed as %q, which reads as %q: %v", text, r.Packed(), again, err)
		}
	})
}
