package archive

import (
	"strings"
	"testing"
)

// An index that claims more archives than it has entries, or than a transfer can plan, would have its
// reader ask for manifests without end.
func TestAnIndexIsBounded(t *testing.T) {
	for _, tc := range []struct {
		archives, files int64
		want            bool
	}{
		{3, 3, true}, {0, 0, true}, {4, 3, false}, {maxIndexedArchives, 1 << 60, true}, {maxIndexedArchives + 1, 1 << 60, false},
	} {
		l := Layout{Base: "base", UID: "uid", Pattern: Hash, Count: 1}
		name := l.Prefixes()[0]
		i := Index{Layout: l, Prefixes: []IndexedPrefix{{
			Name: name, ManifestPrefix: l.ManifestPrefix(l.Index(name)), Archives: tc.archives, Manifests: tc.archives, Files: tc.files}}}
		err := i.Check("base", "uid")
		if (err == nil) != tc.want || err != nil && !strings.Contains(err.Error(), "every archive has one") {
			t.Errorf("%d archives with %d entries: %v", tc.archives, tc.files, err)
		}
	}
}
