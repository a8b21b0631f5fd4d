package archive

import (
	"fmt"
	"hash/fnv"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Pattern says how keys and prefixes follow from paths.
type Pattern string

const (
	// Mirror keeps the tree as it is: <base>/<path>. Its prefixes are the
	// top-level directories.
	Mirror Pattern = "Mirror"
	// Hash spreads the files evenly: <base>/<two hex digits>/<path>.
	Hash Pattern = "Hash"
	// Explicit does the same over given names: <base>/<name>/<path>.
	Explicit Pattern = "Explicit"
)

const (
	// RootPrefix is the Mirror prefix of files that lie in no directory.
	RootPrefix = "."
	// RestPrefix is the Mirror prefix of all directories that have none of their own.
	RestPrefix = "*"

	// MaxPrefixes is the most prefixes of a transfer.
	MaxPrefixes = 64

	defaultMirrorCount = 16
	maxPrefixNameBytes = 255
	bookkeepingDir     = ".cargoship"
)

// Layout maps paths to prefixes and object keys. A layout is resolved once its
// prefixes are known, see Source.Resolve; from then on it never changes, since
// the keys of the inventory depend on it.
type Layout struct {
	// Base is the destination's prefix, without a leading or trailing slash; it may be empty.
	Base    string  `json:"base,omitempty"`
	Pattern Pattern `json:"pattern"`
	// Count is the number of prefixes of Hash, and the limit of Mirror: up to
	// Count-1 directories have a prefix of their own. Zero means automatic.
	Count int `json:"count,omitempty"`
	// Names are the prefixes of Explicit, as given, and of Mirror, once resolved.
	Names []string `json:"names,omitempty"`
	// UID is the run's, which for an ArchiveTransfer is its own; it keeps the bookkeeping
	// objects of runs apart.
	UID string `json:"uid"`
	// Run is the part of the keys that keeps the archives of runs apart, so that a run
	// replaces nothing of another. It is the UID, or empty where files keep their own keys
	// and in the layouts of earlier releases.
	Run string `json:"run,omitempty"`
	// Tar packs the files; nil makes every file an object of its own.
	Tar *Tar `json:"tar,omitempty"`
}

// Validate reports what in the layout could make two files share a key.
func (l Layout) Validate() error {
	if err := CheckBase(l.Base); err != nil {
		return err
	}
	if l.Run != "" && (l.Tar == nil || l.Run != l.UID || !fileName(l.Run)) {
		return fmt.Errorf("run %q must be the UID of a packed run, and a valid file name", l.Run)
	}
	if l.Count < 0 || l.Count > MaxPrefixes {
		return fmt.Errorf("%d prefixes: must be between 0 and %d", l.Count, MaxPrefixes)
	}
	if l.Tar != nil {
		if err := l.Tar.validate(l.Pattern); err != nil {
			return err
		}
	}
	switch l.Pattern {
	case Mirror, Hash:
		return nil
	case Explicit:
		return validateNames(l.Names)
	default:
		return fmt.Errorf("unknown prefix pattern %q", l.Pattern)
	}
}

// CheckBase returns an error unless base is a valid prefix of all keys; it may be empty.
func CheckBase(base string) error {
	switch {
	case base == "":
		return nil
	case !cleanRelative(base):
		return fmt.Errorf("base prefix %q must be a relative path in UTF-8 without empty, . or .. parts", base)
	case reserved(base):
		return fmt.Errorf("base prefix %q contains %s, which is reserved for bookkeeping", base, bookkeepingDir)
	default:
		return nil
	}
}

// reserved says that a key or path has the name of the bookkeeping as one of its parts.
// Seen from any base above it, what lies below would pass for bookkeeping.
func reserved(p string) bool { return slices.Contains(strings.Split(p, "/"), bookkeepingDir) }

// validateNames keeps names from overlapping: below both "a" and "a/b", the
// paths "b/f" and "f" would have one key.
func validateNames(names []string) error {
	if len(names) == 0 || len(names) > MaxPrefixes {
		return fmt.Errorf("%d explicit prefixes: must be between 1 and %d", len(names), MaxPrefixes)
	}
	for i, n := range names {
		if !cleanRelative(n) || reserved(n) || len(n) > maxPrefixNameBytes {
			return fmt.Errorf("explicit prefix %q must be a relative path in UTF-8 of at most %d bytes, without empty, ., .. or %s parts", n, maxPrefixNameBytes, bookkeepingDir)
		}
		for _, m := range names[:i] {
			if within(n, m) || within(m, n) {
				return fmt.Errorf("explicit prefixes %q and %q overlap", m, n)
			}
		}
	}
	return nil
}

// cleanRelative says that p is local, and UTF-8.
func cleanRelative(p string) bool { return local(p) && utf8.ValidString(p) }

// local says that p names something below the place it is relative to, in the one way there is.
func local(p string) bool {
	return p != "." && p != ".." && p == path.Clean(p) && !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "../") &&
		!strings.ContainsRune(p, 0)
}

// within says that path is dir or lies below it.
func within(p, dir string) bool {
	return strings.HasPrefix(p, dir) && (len(p) == len(dir) || p[len(dir)] == '/')
}

// Resolved says that the prefixes are known.
func (l Layout) Resolved() bool {
	if l.Pattern == Hash {
		return l.Count > 0
	}
	return len(l.Names) > 0
}

// Prefixes returns the prefixes of a resolved layout; the position of a prefix
// in it is the index in the keys of its bookkeeping objects.
func (l Layout) Prefixes() []string {
	if l.Pattern != Hash {
		return slices.Clone(l.Names)
	}
	names := make([]string, l.Count)
	for i := range names {
		names[i] = hashName(i)
	}
	return names
}

func hashName(i int) string { return fmt.Sprintf("%02x", i) }

// Index returns the position of a prefix in Prefixes, and -1 for an unknown one.
func (l Layout) Index(prefix string) int {
	if l.Pattern != Hash {
		return slices.Index(l.Names, prefix)
	}
	i, err := strconv.ParseUint(prefix, 16, 8)
	if err != nil || int(i) >= l.Count || prefix != hashName(int(i)) {
		return -1
	}
	return int(i)
}

// Prefix returns the prefix that a path belongs to.
func (l Layout) Prefix(p string) string {
	switch l.Pattern {
	case Hash, Explicit:
		return l.prefixOf(pathHash(p))
	default:
		top, _, below := strings.Cut(p, "/")
		if !below {
			top = RootPrefix
		}
		if slices.Contains(l.Names, top) {
			return top
		}
		return RestPrefix
	}
}

// prefixOf returns the prefix of Hash or Explicit that a number falls on.
func (l Layout) prefixOf(n uint64) string {
	if l.Pattern == Hash {
		return hashName(int(n % uint64(l.Count)))
	}
	return l.Names[n%uint64(len(l.Names))]
}

// pathHash is FNV-1a of 64 bits, folded since its low bits mix least.
func pathHash(p string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(p))
	sum := h.Sum64()
	return sum ^ sum>>32
}

// Key returns the object key of a file. Different paths have different keys,
// as long as prefix is the one that the path belongs to.
func (l Layout) Key(prefix, p string) string {
	switch {
	case l.Tar != nil:
		return l.under(prefix + "/" + l.inRun(largeDir+"/"+p))
	case l.Pattern == Mirror:
		return l.under(p)
	default:
		return l.under(prefix + "/" + p)
	}
}

// Locate is the inverse of Key: the prefix and path whose object has the key.
// It is false for a key that no file can have.
func (l Layout) Locate(key string) (prefix, p string, ok bool) {
	p = key
	if l.Base != "" {
		if p, ok = strings.CutPrefix(key, l.Base+"/"); !ok {
			return "", "", false
		}
	}
	if !cleanRelative(p) {
		return "", "", false
	}
	if l.Pattern == Mirror {
		return l.Prefix(p), p, true
	}
	name, rest, ok := l.cutPrefix(p)
	if ok && l.Tar != nil {
		// The prefix of a file with several names doesn't follow from its path.
		rest, ok = strings.CutPrefix(rest, l.inRun(largeDir+"/"))
		return name, rest, ok
	}
	return name, rest, ok && l.Prefix(rest) == name
}

// cutPrefix splits what follows the base in a key of Hash or Explicit.
func (l Layout) cutPrefix(p string) (prefix, rest string, ok bool) {
	for _, name := range l.Prefixes() {
		if rest, ok = strings.CutPrefix(p, name+"/"); ok {
			return name, rest, true
		}
	}
	return "", "", false
}

// verdict returns the reason why the path cannot be an object, or "".
func (l Layout) verdict(p string) string {
	key := l.Key(l.Prefix(p), p)
	if l.Tar != nil {
		// Prefixes of Explicit differ in length, and a file with several names may
		// come under any of them.
		for _, name := range l.Prefixes() {
			if other := l.Key(name, p); len(other) > len(key) {
				key = other
			}
		}
	}
	switch {
	case !utf8.ValidString(p):
		return ReasonNameNotUTF8
	case len(key) > MaxKeyBytes:
		return ReasonKeyTooLong
	case reserved(p):
		return ReasonKeyReserved
	default:
		return ""
	}
}

// BookkeepingPrefix is what the keys of all bookkeeping objects begin with.
func (l Layout) BookkeepingPrefix() string {
	return l.under(bookkeepingDir + "/" + l.UID + "/")
}

// PlanKey is the key of the plan.
func (l Layout) PlanKey() string { return l.BookkeepingPrefix() + "plan.json" }

// IndexKey is the key of the index of a complete transfer.
func (l Layout) IndexKey() string { return l.BookkeepingPrefix() + "index.json" }

// ReportKey is the key of the report of a complete transfer.
func (l Layout) ReportKey() string { return l.BookkeepingPrefix() + "report.json" }

// RunsPrefix is what the bookkeeping keys of all runs below a base begin with; the UID of
// a run follows, and a slash.
func RunsPrefix(base string) string { return Layout{Base: base}.under(bookkeepingDir + "/") }

// ShardPrefix is what the keys of a prefix's inventory shards begin with.
func (l Layout) ShardPrefix(prefixIndex int) string {
	return fmt.Sprintf("%sinventory/%02d/", l.BookkeepingPrefix(), prefixIndex)
}

// ShardKey is the key of the inventory shard that begins with the archive first.
func (l Layout) ShardKey(prefixIndex int, first int64) string {
	return fmt.Sprintf("%s%010d%s", l.ShardPrefix(prefixIndex), first, shardSuffix)
}

// ManifestPrefix is what the keys of a prefix's manifests begin with.
func (l Layout) ManifestPrefix(prefixIndex int) string {
	return fmt.Sprintf("%smanifests/%02d/", l.BookkeepingPrefix(), prefixIndex)
}

// ManifestKey is the key of the manifest of an archive.
func (l Layout) ManifestKey(prefixIndex int, number int64) string {
	return fmt.Sprintf("%s%010d%s", l.ManifestPrefix(prefixIndex), number, manifestSuffix)
}

const (
	shardSuffix    = ".jsonl.zst"
	manifestSuffix = ".json.zst"
)

// numberInKey reads the archive number out of a shard's or manifest's key.
func numberInKey(key, prefix, suffix string) (int64, bool) {
	digits, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, suffix); !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), err == nil && len(digits) >= 10
}

// inRun puts the run in front of what a prefix holds.
func (l Layout) inRun(p string) string {
	if l.Run == "" {
		return p
	}
	return l.Run + "/" + p
}

func (l Layout) under(p string) string {
	if l.Base == "" {
		return p
	}
	return l.Base + "/" + p
}
