package archive

import (
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLayoutKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		layout               Layout
		path                 string
		wantPrefix, wantKey  string
		wantShard, wantIndex string
	}{
		"Mirror, own directory": {
			layout: Layout{Base: "base", Pattern: Mirror, Names: []string{".", "a", "*"}, UID: "u"}, path: "a/b",
			wantPrefix: "a", wantKey: "base/a/b",
			wantShard: "base/.cargoship/u/inventory/01/0000000007.jsonl.zst", wantIndex: "base/.cargoship/u/index.json",
		},
		"Mirror, root file": {
			layout: Layout{Base: "base", Pattern: Mirror, Names: []string{".", "a", "*"}, UID: "u"}, path: "a",
			wantPrefix: ".", wantKey: "base/a",
			wantShard: "base/.cargoship/u/inventory/00/0000000007.jsonl.zst", wantIndex: "base/.cargoship/u/index.json",
		},
		"Mirror, one prefix for all": {
			layout: Layout{Pattern: Mirror, Names: []string{"*"}, UID: "u"}, path: "a",
			wantPrefix: "*", wantKey: "a",
			wantShard: ".cargoship/u/inventory/00/0000000007.jsonl.zst", wantIndex: ".cargoship/u/index.json",
		},
		"Mirror, a directory named like the rest": {
			layout: Layout{Pattern: Mirror, Names: []string{".", "a", "*"}, UID: "u"}, path: "*/x",
			wantPrefix: "*", wantKey: "*/x",
			wantShard: ".cargoship/u/inventory/02/0000000007.jsonl.zst", wantIndex: ".cargoship/u/index.json",
		},
		"Hash": {
			layout: Layout{Base: "base", Pattern: Hash, Count: 1, UID: "u"}, path: "a/b",
			wantPrefix: "00", wantKey: "base/00/a/b",
			wantShard: "base/.cargoship/u/inventory/00/0000000007.jsonl.zst", wantIndex: "base/.cargoship/u/index.json",
		},
		"Explicit": {
			layout: Layout{Pattern: Explicit, Names: []string{"x/y"}, UID: "u"}, path: "a/b",
			wantPrefix: "x/y", wantKey: "x/y/a/b",
			wantShard: ".cargoship/u/inventory/00/0000000007.jsonl.zst", wantIndex: ".cargoship/u/index.json",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := tc.layout
			if err := l.Validate(); err != nil {
				t.Fatal(err)
			}
			prefix := l.Prefix(tc.path)
			if prefix != tc.wantPrefix {
				t.Errorf("prefix %q, want %q", prefix, tc.wantPrefix)
			}
			if got := l.Key(prefix, tc.path); got != tc.wantKey {
				t.Errorf("key %q, want %q", got, tc.wantKey)
			}
			if got := l.ShardKey(l.Index(prefix), 7); got != tc.wantShard {
				t.Errorf("shard key %q, want %q", got, tc.wantShard)
			}
			if got := l.IndexKey(); got != tc.wantIndex {
				t.Errorf("index key %q, want %q", got, tc.wantIndex)
			}
		})
	}
}

func TestLayoutValidate(t *testing.T) {
	tooMany := make([]string, MaxPrefixes+1)
	for i := range tooMany {
		tooMany[i] = hashName(i)
	}
	for name, tc := range map[string]struct {
		layout Layout
		want   string // in the error; empty for none
	}{
		"no base":                   {Layout{Pattern: Mirror}, ""},
		"nested base":               {Layout{Base: "a/b", Pattern: Hash, Count: MaxPrefixes}, ""},
		"base with a leading slash": {Layout{Base: "/a", Pattern: Mirror}, "base prefix"},
		"base with a final slash":   {Layout{Base: "a/", Pattern: Mirror}, "base prefix"},
		"base that climbs":          {Layout{Base: "../a", Pattern: Mirror}, "base prefix"},
		"base that only climbs":     {Layout{Base: "..", Pattern: Mirror}, "base prefix"},
		"base that is a dot":        {Layout{Base: ".", Pattern: Mirror}, "base prefix"},
		"base with dots inside":     {Layout{Base: "a/../b", Pattern: Mirror}, "base prefix"},
		"base not UTF-8":            {Layout{Base: "a\xff", Pattern: Mirror}, "base prefix"},
		"negative count":            {Layout{Pattern: Hash, Count: -1}, "-1 prefixes"},
		"large count":               {Layout{Pattern: Hash, Count: MaxPrefixes + 1}, "65 prefixes"},
		"no pattern":                {Layout{}, "pattern"},
		"explicit":                  {Layout{Pattern: Explicit, Names: []string{"a", "ab", "b/c"}}, ""},
		"explicit without names":    {Layout{Pattern: Explicit}, "0 explicit"},
		"too many names":            {Layout{Pattern: Explicit, Names: tooMany}, "65 explicit"},
		"an empty name":             {Layout{Pattern: Explicit, Names: []string{""}}, "explicit prefix"},
		"a name twice":              {Layout{Pattern: Explicit, Names: []string{"a", "a"}}, "overlap"},
		"a name below another":      {Layout{Pattern: Explicit, Names: []string{"a/b", "a"}}, "overlap"},
		"the bookkeeping directory": {Layout{Pattern: Explicit, Names: []string{".cargoship"}}, "explicit prefix"},
		"one below another name":    {Layout{Pattern: Explicit, Names: []string{"a/.cargoship/u"}}, "explicit prefix"},
		"a base in bookkeeping":     {Layout{Base: "a/.cargoship/u", Pattern: Mirror}, "reserved for bookkeeping"},
		"a long name":               {Layout{Pattern: Explicit, Names: []string{strings.Repeat("a", 256)}}, "explicit prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.layout.Validate()
			if tc.want == "" && err != nil {
				t.Fatalf("error %v, want none", err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Fatalf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func layouts() *rapid.Generator[Layout] {
	return rapid.Custom(func(t *rapid.T) Layout {
		l := Layout{
			Base:    rapid.SampledFrom([]string{"", "base", "a/b"}).Draw(t, "base"),
			Pattern: rapid.SampledFrom([]Pattern{Mirror, Hash, Explicit}).Draw(t, "pattern"),
			Count:   rapid.IntRange(1, MaxPrefixes).Draw(t, "count"),
			UID:     "uid",
		}
		switch l.Pattern {
		case Mirror:
			l.Names = rapid.SampledFrom([][]string{{"*"}, {".", "a", "b", "*"}, {".", "*"}}).Draw(t, "names")
		case Explicit:
			l.Names = rapid.SampledFrom([][]string{{"a"}, {"a", "b/c", "00"}, {"x", "y"}}).Draw(t, "names")
		}
		return l
	})
}

func paths() *rapid.Generator[string] {
	part := rapid.SampledFrom([]string{"a", "b", "a-b", "00", "*", "...", "x y", "é", "a\xff", ".cargoship", "uid", "plan.json"})
	return rapid.Custom(func(t *rapid.T) string {
		return path.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts")...)
	})
}

// Of any two paths that get an object, each has a key of its own, no key is a
// bookkeeping key, and the key leads back to the path.
func TestLayoutKeyIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := layouts().Draw(t, "layout")
		all := rapid.SliceOfNDistinct(paths(), 2, 20, rapid.ID).Draw(t, "paths")
		seen := map[string]string{}
		for _, p := range all {
			prefix := l.Prefix(p)
			if l.Index(prefix) < 0 || l.Prefixes()[l.Index(prefix)] != prefix {
				t.Fatalf("prefix %q of %q is none of %q", prefix, p, l.Prefixes())
			}
			key := l.Key(prefix, p)
			if q, taken := seen[key]; taken {
				t.Fatalf("%q and %q share the key %q", p, q, key)
			}
			seen[key] = p
			if l.verdict(p) != "" {
				continue
			}
			if strings.HasPrefix(key, l.BookkeepingPrefix()) {
				t.Fatalf("%q has the bookkeeping key %q", p, key)
			}
			gotPrefix, gotPath, ok := l.Locate(key)
			if !ok || gotPrefix != prefix || gotPath != p {
				t.Fatalf("Locate(%q) = %q, %q, %v; want %q, %q", key, gotPrefix, gotPath, ok, prefix, p)
			}
		}
	})
}

func TestLocateRefusesForeignKeys(t *testing.T) {
	hash := Layout{Base: "base", Pattern: Hash, Count: 16, UID: "u"}
	other := hash.Prefixes()[(hash.Index(hash.Prefix("f"))+1)%16]
	for name, tc := range map[string]struct {
		layout Layout
		key    string
	}{
		"outside the base":        {Layout{Base: "base", Pattern: Mirror, Names: []string{"*"}}, "basement/f"},
		"the base itself":         {Layout{Base: "base", Pattern: Mirror, Names: []string{"*"}}, "base/"},
		"a path that climbs":      {Layout{Pattern: Mirror, Names: []string{"*"}}, "../f"},
		"a path with empty parts": {Layout{Pattern: Mirror, Names: []string{"*"}}, "a//f"},
		"another file's prefix":   {hash, "base/" + other + "/f"},
		"an unknown prefix":       {hash, "base/10/f"},
	} {
		t.Run(name, func(t *testing.T) {
			if prefix, p, ok := tc.layout.Locate(tc.key); ok {
				t.Fatalf("Locate(%q) = %q, %q; want none", tc.key, prefix, p)
			}
		})
	}
}

func TestHashSpreads(t *testing.T) {
	l := Layout{Pattern: Hash, Count: 16}
	counts := map[string]int{}
	for i := range 16_000 {
		counts[l.Prefix("dir/file-"+hashName(i))]++
	}
	for _, prefix := range l.Prefixes() {
		if n := counts[prefix]; n < 800 || n > 1200 {
			t.Errorf("prefix %s has %d of 16000 files, want about 1000", prefix, n)
		}
	}
}

func TestVerdict(t *testing.T) {
	l := Layout{Base: "base", Pattern: Mirror, Names: []string{"*"}, UID: "u"}
	for name, tc := range map[string]struct{ path, want string }{
		"plain":             {"a/b", ""},
		"longest key":       {strings.Repeat("x", MaxKeyBytes-len("base/")), ""},
		"key too long":      {strings.Repeat("x", MaxKeyBytes-len("base/")+1), ReasonKeyTooLong},
		"not UTF-8":         {"a/\xff", ReasonNameNotUTF8},
		"own bookkeeping":   {".cargoship/u/plan.json", ReasonKeyReserved},
		"other bookkeeping": {".cargoship/v/plan.json", ReasonKeyReserved},
		"bookkeeping below": {"a/b/.cargoship/v/index.json", ReasonKeyReserved},
		"a file so named":   {"a/.cargoship", ReasonKeyReserved},
		"a similar name":    {"a/.cargoship2/.cargoship.d", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := l.verdict(tc.path); got != tc.want {
				t.Fatalf("verdict %q, want %q", got, tc.want)
			}
		})
	}
}

func TestComparePathsIsWalkOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := paths().Draw(t, "a"), paths().Draw(t, "b")
		want := slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
		if got := ComparePaths(a, b); sign(got) != want {
			t.Fatalf("ComparePaths(%q, %q) = %d, want %d", a, b, got, want)
		}
	})
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	default:
		return 0
	}
}
