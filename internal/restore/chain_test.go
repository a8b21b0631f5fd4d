package restore_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// Put makes a store of the bucket in memory.
func (b *bucket) Put(_ context.Context, key string, body []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = body
	return nil
}

// run stores a run of one prefix with the given members in two archives, each of which
// holds them all.
func (b *bucket) run(t *testing.T, uid, name string, written time.Time, members ...archive.Member) archive.Layout {
	t.Helper()
	l := archive.Layout{Base: "base", Pattern: archive.Hash, Count: 1, UID: uid}
	var tally archive.Tally
	var digests []archive.Digest
	for number := range int64(2) {
		m := archive.Manifest{Transfer: uid, Prefix: "00", Number: number, Attempt: 1, Members: members}
		body, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		b.objects[l.ManifestKey(0, number)] = body
		tally, digests = tally.Plus(m.Tally()), append(digests, sha256.Sum256(body))
	}
	index := archive.Index{Transfer: uid, Name: name, Written: written, Layout: l}
	if err := index.AddPrefixes(t.Context(), b, archive.FinishedPrefix{Name: "00", Planned: tally.Total(), Outcomes: tally, Digests: digests}); err != nil {
		t.Fatal(err)
	}
	if err := index.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return l
}

func member(b *bucket, path string) archive.Member {
	content := []byte("content of " + path)
	b.objects["base/00/"+path] = content
	return archive.Member{
		Path: path, Key: "base/00/" + path, Size: int64(len(content)), Mode: 0o644, ModTime: time.Unix(1e9, 0), Outcome: archive.Done,
		Checksum: checksum(content), ChecksumAlgorithm: "CRC64NVME",
	}
}

func verify(t *testing.T, b *bucket, readBack bool) (restore.Verification, error) {
	t.Helper()
	c, err := restore.Open(t.Context(), b, "base", "")
	if err != nil {
		return restore.Verification{}, err
	}
	return restore.Verify(t.Context(), restore.VerifyOptions{Catalog: c, ReadBack: readBack})
}

func TestVerifyNoticesWhatWasChanged(t *testing.T) {
	now := time.Now()
	fresh := func() (*bucket, archive.Layout) {
		b := &bucket{objects: map[string][]byte{}}
		l := b.run(t, "uid", "name", now, member(b, "a"), member(b, "b"))
		return b, l
	}
	encode := func(m archive.Manifest) []byte {
		body, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	for name, change := range map[string]func(*bucket, archive.Layout){
		"an object": func(b *bucket, _ archive.Layout) { b.objects["base/00/a"] = []byte("Content of a") },
		"no object": func(b *bucket, _ archive.Layout) { delete(b.objects, "base/00/a") },
		"a manifest without members": func(b *bucket, l archive.Layout) {
			b.objects[l.ManifestKey(0, 0)] = encode(archive.Manifest{Transfer: "uid", Prefix: "00"})
		},
		"a manifest of others": func(b *bucket, l archive.Layout) {
			b.objects["base/00/evil"] = []byte("evil")
			evil := member(b, "evil")
			b.objects[l.ManifestKey(0, 1)] = encode(archive.Manifest{Transfer: "uid", Prefix: "00", Number: 1, Members: []archive.Member{evil, evil}})
		},
		"no manifest": func(b *bucket, l archive.Layout) { delete(b.objects, l.ManifestKey(0, 1)) },
		"two manifests exchanged": func(b *bucket, l archive.Layout) {
			one, two := l.ManifestKey(0, 0), l.ManifestKey(0, 1)
			b.objects[one], b.objects[two] = b.objects[two], b.objects[one]
		},
		"the digests": func(b *bucket, l archive.Layout) {
			b.objects[l.DigestsKey(0)] = append(b.objects[l.DigestsKey(0)], ' ')
		},
		"the counts": func(b *bucket, l archive.Layout) {
			raw := strings.Replace(string(b.objects[l.IndexKey()]), `"archives": 2`, `"archives": 1`, 1)
			b.objects[l.IndexKey()] = []byte(raw)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, l := fresh()
			if v, err := verify(t, b, true); err != nil || v.Wrong > 0 || v.Files != 4 {
				t.Fatalf("before: %+v, %v", v, err)
			}
			change(b, l)
			for _, readBack := range []bool{false, true} {
				if v, err := verify(t, b, readBack); err == nil && v.Wrong == 0 {
					t.Errorf("nothing is wrong by verify (read back: %v): %+v", readBack, v)
				}
			}
		})
	}
}

// TestVerifyCountsAgainstAnOldIndex has an index without digests, as earlier releases
// write it, and a manifest without members.
func TestVerifyCountsAgainstAnOldIndex(t *testing.T) {
	b := &bucket{objects: map[string][]byte{}}
	l := b.run(t, "uid", "name", time.Now(), member(b, "a"))
	index, err := archive.DecodeIndex(b.objects[l.IndexKey()])
	if err != nil {
		t.Fatal(err)
	}
	index.Prefixes[0].Digests, index.Prefixes[0].Outcomes = "", nil
	if err := index.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if v, err := verify(t, b, false); err != nil || v.Wrong != 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	if b.objects[l.ManifestKey(0, 0)], err = (archive.Manifest{Transfer: "uid", Prefix: "00"}).Encode(); err != nil {
		t.Fatal(err)
	}
	if v, err := verify(t, b, false); err != nil || v.Wrong != 1 || !strings.Contains(v.Failures[0].Message, "counts 2 files") {
		t.Errorf("%+v %v, %v", v, v.Failures, err)
	}
}

// TestReadBackOfAnArchiveWhoseMembersAllFailed has a tar that holds nothing but them.
func TestReadBackOfAnArchiveWhoseMembersAllFailed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", 10)
	b := archived(t, dir, zstd())
	l := archive.Layout{Base: "base", Pattern: archive.Hash, Count: 1, UID: "uid", Tar: new(zstd())}
	m, err := archive.DecodeManifest(b.objects[l.ManifestKey(0, 0)])
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Members {
		m.Members[i].Outcome, m.Members[i].Reason = archive.Failed, "Changed"
	}
	if err := b.putManifest(l, m); err != nil {
		t.Fatal(err)
	}
	if v, err := verify(t, b, true); err != nil || v.Wrong != 0 || v.Missing != 1 || v.Objects != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestOneUnreadableIndexHidesNoOther(t *testing.T) {
	b := &bucket{objects: map[string][]byte{}}
	b.run(t, "good", "name", time.Unix(1e9, 0), member(b, "a"))
	for uid, body := range map[string]string{
		"broken":     "{",
		"huge":       strings.Repeat(" ", 1<<20) + "{}",
		"none":       `{"version":1}`,
		"unknown":    `{"version":99}`,
		"elsewhere":  `{"version":1,"transfer":"elsewhere","written":"2099-01-01T00:00:00Z","layout":{"base":"other","uid":"elsewhere","pattern":"Hash","count":1}}`,
		"an":         `{"version":1,"transfer":"other","written":"2099-01-01T00:00:00Z","layout":{"base":"base","uid":"other","pattern":"Hash","count":1}}`,
		"impossible": `{"version":1,"written":"2099-01-01T00:00:00Z","layout":{"base":"base","uid":"impossible","pattern":"Hash","count":1},"prefixes":[{"name":"00","manifestPrefix":"elsewhere/","archives":1}]}`,
	} {
		b.objects["base/.cargoship/"+uid+"/index.json"] = []byte(body)
	}
	c, err := restore.Open(t.Context(), b, "base", "")
	if err != nil || c.Index.Layout.UID != "good" || len(c.Warnings) != 7 || !strings.Contains(strings.Join(c.Warnings, " "), "more than 1048576 bytes") {
		t.Fatalf("opened %q with warnings %q: %v", c.Index.Layout.UID, c.Warnings, err)
	}
	maps.DeleteFunc(b.objects, func(key string, _ []byte) bool { return strings.Contains(key, "/good/") })
	if _, err := restore.Open(t.Context(), b, "base", ""); err == nil || !strings.Contains(err.Error(), "/broken/index.json") {
		t.Errorf("Open: %v", err)
	}
}

func TestRunsAreNamed(t *testing.T) {
	b := &bucket{objects: map[string][]byte{}}
	at := func(day int) time.Time { return time.Date(2026, 11, day, 3, 0, 0, 0, time.UTC) }
	b.run(t, "uid-1", "logs", at(1), member(b, "a"))
	b.run(t, "uid-2", "logs", at(2), member(b, "a"))
	b.run(t, "uid-3", "data", at(3), member(b, "a"))
	for name, want := range map[string]string{
		"": "uid-3", "uid-1": "uid-1", "logs@2026-11-02T03:00:00Z": "uid-2", "data": "uid-3",
	} {
		c, err := restore.Open(t.Context(), b, "base", name)
		if err != nil || c.Index.Layout.UID != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"logs", "uid", "other"} {
		_, err := restore.Open(t.Context(), b, "base", name)
		if err == nil || !strings.Contains(fmt.Sprint(err), "logs@2026-11-01T03:00:00Z (uid-1)") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := restore.Open(t.Context(), b, "base/.cargoship/uid-1", ""); err == nil {
		t.Error("a place in the bookkeeping was opened")
	}
}
