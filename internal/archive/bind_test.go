package archive

import "testing"

func TestManifestsAreBoundToTheirLayout(t *testing.T) {
	l := tarLayout(Zstd)
	l.Base, l.Run = "base", l.UID
	whole := func(change func(*Manifest)) Manifest {
		m := Manifest{
			Transfer: "uid", Prefix: "00", Number: 3,
			Object: &Object{Key: "base/00/uid/data-0000000003.tar.zst", Compression: Zstd},
			Members: []Member{
				{Path: "a", Tar: &Place{}, Outcome: Done},
				{Path: "large", Key: "base/00/uid/files/large", Outcome: Done},
			},
		}
		change(&m)
		return m
	}
	for name, tc := range map[string]struct {
		change func(*Manifest)
		want   bool
	}{
		"as written":                  {func(*Manifest) {}, true},
		"archive of an earlier run":   {func(m *Manifest) { m.Object.Key = "base/00/before/data-0000000007.tar.zst" }, true},
		"archive of an old release":   {func(m *Manifest) { m.Object.Key = "base/00/data-0000000003.tar.zst" }, true},
		"file of an earlier run":      {func(m *Manifest) { m.Members[1].Key = "base/00/before/files/large" }, true},
		"file of an old release":      {func(m *Manifest) { m.Members[1].Key = "base/00/files/large" }, true},
		"another transfer":            {func(m *Manifest) { m.Transfer = "other" }, false},
		"another prefix":              {func(m *Manifest) { m.Prefix = "01" }, false},
		"another number":              {func(m *Manifest) { m.Number = 4 }, false},
		"archive of another prefix":   {func(m *Manifest) { m.Object.Key = "base/01/uid/data-0000000003.tar.zst" }, false},
		"archive elsewhere":           {func(m *Manifest) { m.Object.Key = "other/00/uid/data-0000000003.tar.zst" }, false},
		"archive in the bookkeeping":  {func(m *Manifest) { m.Object.Key = "base/00/.cargoship/data-0000000003.tar.zst" }, false},
		"archive that is a file":      {func(m *Manifest) { m.Object.Key = "base/00/uid/files/data-0000000003.tar.zst" }, false},
		"archive of other tars":       {func(m *Manifest) { m.Object.Key = "base/00/uid/secret.tar.zst" }, false},
		"file of another path":        {func(m *Manifest) { m.Members[1].Key = "base/00/uid/files/other" }, false},
		"file beside the files":       {func(m *Manifest) { m.Members[1].Key = "base/00/uid/large" }, false},
		"file of another destination": {func(m *Manifest) { m.Members[1].Key = "large" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := l.CheckManifest(whole(tc.change), "00", 3); (err == nil) != tc.want {
				t.Errorf("CheckManifest: %v", err)
			}
		})
	}
}

func TestKeysOfRunsAreApart(t *testing.T) {
	one, other := tarLayout(Zstd), tarLayout(Zstd)
	one.UID, one.Run, other.UID, other.Run = "one", "one", "other", "other"
	key := one.ArchiveKey("00", 5)
	if key != "00/one/data-0000000005.tar.zst" || key == other.ArchiveKey("00", 5) {
		t.Errorf("archive key %q", key)
	}
	if _, _, ok := other.LocateArchive(key); ok {
		t.Errorf("%q is taken for an archive of another run", key)
	}
	if prefix, number, ok := one.LocateArchive(key); !ok || prefix != "00" || number != 5 {
		t.Errorf("%q is archive %d of %q: %v", key, number, prefix, ok)
	}
	key = one.Key("00", "a/b")
	if prefix, path, ok := one.Locate(key); key != "00/one/files/a/b" || !ok || prefix != "00" || path != "a/b" {
		t.Errorf("%q leads to %q, %q: %v", key, prefix, path, ok)
	}
	if _, _, ok := other.Locate(key); ok {
		t.Errorf("%q is taken for a file of another run", key)
	}
	for _, wrong := range []string{"other", "..", "a/b", ".cargoship"} {
		one.Run = wrong
		if one.Validate() == nil {
			t.Errorf("run %q is taken", wrong)
		}
	}
}
