package archive

import (
	"bytes"
	"testing"
	"time"

	"cargoship.dev/operator/docs/schemas"
	"cargoship.dev/operator/docs/schemas/schematest"
)

func TestManifestsKeepToTheirSchema(t *testing.T) {
	for algorithm, field := range map[DigestAlgorithm]string{DigestCRC64NVME: "crc64nvme", DigestSHA256: "sha256"} {
		t.Run(field, func(t *testing.T) { testManifestSchema(t, algorithm, field) })
	}
}

func testManifestSchema(t *testing.T, algorithm DigestAlgorithm, field string) {
	s := openSource(t, motley(t))
	l := tarLayout(Zstd)
	l.Tar.Digest = algorithm
	a := one(t, s, l)
	_, packed := pack(t, s, l, a)
	m := Manifest{Transfer: "uid", Prefix: "00", Attempt: 1, Object: &Object{
		Key: "k", Size: 1, Compression: Zstd, ETag: "e", Checksum: "c", ChecksumAlgorithm: "CRC64NVME",
	}}
	for i, e := range a.Entries {
		m.Members = append(m.Members, Member{
			Path: e.Path, Kind: e.Kind, Link: e.Link, UID: e.UID, GID: e.GID, Tar: &packed[i].Place,
			Size: e.Size, Mode: e.Mode, ModTime: e.ModTime, Outcome: Done,
		})
	}
	m.Members = append(m.Members,
		Member{Path: "own", Key: "own", ETag: "e", Checksum: "c", ChecksumAlgorithm: "CRC32C", Outcome: Done, Kept: true,
			Xattrs: []Xattr{{"user.a", "b"}, {"user.\xff", ""}}, NotKept: []string{"security.selinux"}},
		Member{Path: "socket", Outcome: Skipped, Reason: ReasonSocket},
		Member{Path: "gone", Outcome: Failed, Reason: ReasonVanished, Message: "it is no more"},
	)
	body, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := expand(body)
	if err != nil {
		t.Fatal(err)
	}
	schema := schematest.Compile(t, schemas.Manifest)
	if err := schema.Validate(t, raw); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string][2]string{
		"version": {`"version":2`, `"version":3`}, "mode": {`"mode":"0`, `"mode":"9`}, "digest": {`"` + field + `":"`, `"` + field + `":"x`},
		"outcome": {`"outcome":"Done"`, `"outcome":"Perhaps"`}, "frame": {`"tarOffset":`, `"tarOffset":-1`},
	} {
		damaged := bytes.ReplaceAll(raw, []byte(wrong[0]), []byte(wrong[1]))
		if err := schema.Validate(t, damaged); err == nil {
			t.Errorf("a wrong %s passes", name)
		}
	}
}

func TestIndexesKeepToTheirSchema(t *testing.T) {
	schema := schematest.Compile(t, schemas.Index)
	packed := tarLayout(Zstd)
	packed.Run = packed.UID
	for _, l := range []Layout{packed, tarLayout(Plain), mirror("a", "b")} {
		index := Index{Transfer: "uid", Name: "n", Written: time.Now(), Partial: true, Layout: l, Prefixes: []IndexedPrefix{{
			Name: "00", ManifestPrefix: "m", Digests: Digest{}.String(), Outcomes: &Tally{Failed: Count{1, 2}},
		}}}
		raw, err := index.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(t, raw); err != nil {
			t.Error(err)
		}
		if err := schema.Validate(t, bytes.ReplaceAll(raw, []byte(`"manifests"`), []byte(`"manifest"`))); err == nil {
			t.Error("an index without the number of manifests passes")
		}
		for name, wrong := range map[string][2]string{
			"digest": {`"digests": "0`, `"digests": "x`}, "outcomes": {`"failed"`, `"faild"`}, "count": {`"files": 1`, `"files": -1`},
		} {
			if err := schema.Validate(t, bytes.ReplaceAll(raw, []byte(wrong[0]), []byte(wrong[1]))); err == nil {
				t.Errorf("a wrong %s passes", name)
			}
		}
	}
}
