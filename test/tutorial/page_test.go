package tutorial

import "testing"

func TestPagesAreRead(t *testing.T) {
	blocks, err := read("a\n```console\n$ one\nout …\n$ cat <<EOF\n$ text\nEOF\nmore\n```\n```yaml\n$ no\n```\n")
	if err != nil || len(blocks) != 1 || len(blocks[0]) != 2 || blocks[0][1].command != "cat <<EOF\n$ text\nEOF" || blocks[0][0].want[0] != "out …" {
		t.Errorf("%+v, %v", blocks, err)
	}
	for text, want := range map[string]bool{"a\nb 12 c\n": true, "a\nx\ny\nb 1 c \n": true, "a\nb 1\n": false, "b 1 c\n": false, "a\nb 1 c\nd\n": false} {
		if got := matches([]string{"a", "…", "b … c"}, text); got != want {
			t.Errorf("%q matches: %v", text, got)
		}
	}
}
