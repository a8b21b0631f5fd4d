package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

func TestManifestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 20, 60)
		raw := rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 20), func(b []byte) string { return string(b) })
		file := rapid.OneOf(name, raw).Filter(local)
		member := rapid.Custom(func(t *rapid.T) Member {
			return Member{
				Path:     file.Draw(t, "path"),
				Key:      name.Draw(t, "key"),
				Size:     rapid.Int64Min(0).Draw(t, "size"),
				Mode:     fs.FileMode(rapid.Uint32().Draw(t, "mode")) & keptModeBits,
				ModTime:  time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")),
				ETag:     name.Draw(t, "etag"),
				Checksum: name.Draw(t, "checksum"), ChecksumAlgorithm: "CRC64NVME",
				Outcome: Failed, Reason: ReasonChanged, Message: name.Draw(t, "message"),
			}
		})
		want := Manifest{
			Version: FormatVersion, Transfer: "uid", Prefix: name.Draw(t, "prefix"),
			Number: rapid.Int64Min(0).Draw(t, "number"), Attempt: 3,
			Members: rapid.SliceOfN(member, 0, 5).Draw(t, "members"),
		}
		data, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeManifest(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("manifest (-want +got):\n%s", diff)
		}
	})
}

func TestModeRoundTrip(t *testing.T) {
	for text, want := range map[string]fs.FileMode{
		"0644": 0o644,
		"0000": 0,
		"7777": 0o777 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky,
		"4755": 0o755 | fs.ModeSetuid,
	} {
		got, err := ParseMode(text)
		if err != nil || got != want {
			t.Errorf("ParseMode(%q) = %v, %v; want %v", text, got, err, want)
		}
		if back := FormatMode(want); back != text {
			t.Errorf("FormatMode(%v) = %q, want %q", want, back, text)
		}
	}
	for _, text := range []string{"", "0888", "10000", "-1"} {
		if _, err := ParseMode(text); err == nil {
			t.Errorf("ParseMode(%q) gives no error", text)
		}
	}
}

func TestDecodersRefuse(t *testing.T) {
	packed := func(s string) []byte {
		data, err := compress([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	manifest := func(b []byte) error { _, err := DecodeManifest(b); return err }
	plan := func(b []byte) error { _, err := DecodePlan(b); return err }
	index := func(b []byte) error { _, err := DecodeIndex(b); return err }
	for name, tc := range map[string]struct {
		decode func([]byte) error
		data   []byte
	}{
		"manifest, not compressed":      {manifest, []byte(`{"version":1}`)},
		"manifest, later version":       {manifest, packed(`{"version":3}`)},
		"manifest, member without path": {manifest, packed(`{"version":1,"members":[{"mode":"0644"}]}`)},
		"manifest, member with two":     {manifest, packed(`{"version":1,"members":[{"path":"a","pathBase64":"YQ==","mode":"0644"}]}`)},
		"manifest, member without mode": {manifest, packed(`{"version":1,"members":[{"path":"a"}]}`)},
		"manifest, member with two digests": {manifest, packed(`{"version":2,"object":{"key":"k"},"members":[
			{"path":"a","mode":"0644","tar":{"crc64nvme":"AAAAAAAAAAA=","sha256":"00"}}]}`)},
		"manifest, absolute path":        {manifest, packed(`{"version":2,"members":[{"path":"/a","mode":"0644","outcome":"Failed"}]}`)},
		"manifest, path of a parent":     {manifest, packed(`{"version":2,"members":[{"path":"a/../../b","mode":"0644","outcome":"Failed"}]}`)},
		"manifest, member nowhere":       {manifest, packed(`{"version":2,"members":[{"path":"a","mode":"0644","outcome":"Done"}]}`)},
		"manifest, link to an object":    {manifest, packed(linkTo(`"key":"a"`))},
		"manifest, link to a failure":    {manifest, packed(linkTo(`"tar":{},"outcome":"Failed"`))},
		"manifest, expanding beyond all": {manifest, packed(string(make([]byte, maxDecodedBytes+1)))},
		"plan, no version":               {plan, []byte(`{"layout":{"pattern":"Hash","count":1}}`)},
		"plan, unresolved":               {plan, []byte(`{"version":1,"layout":{"pattern":"Hash"}}`)},
		"plan, bad layout":               {plan, []byte(`{"version":1,"layout":{"pattern":"Hash","count":65}}`)},
		"plan, no JSON":                  {plan, []byte(`{`)},
		"index, no version":              {index, []byte(`{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.decode(tc.data); err == nil {
				t.Fatal("no error")
			}
		})
	}
}

// linkTo is a manifest with a hard link to a member that has further fields.
func linkTo(fields string) string {
	return `{"version":2,"object":{"key":"k"},"members":[{"path":"a","mode":"0644","outcome":"Done",` + fields + `},
		{"path":"b","mode":"0644","kind":"HardLink","link":"a","tar":{},"outcome":"Done"}]}`
}

func TestHardLinksLeadToMembersOfTheTar(t *testing.T) {
	data, err := compress([]byte(linkTo(`"tar":{}`)))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := DecodeManifest(data); err != nil || len(m.Members) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestIndexRoundTrip(t *testing.T) {
	want := Index{
		Version: FormatVersion, Transfer: "uid", Namespace: "ns", Name: "name", Layout: mirror(".", "*"),
		Prefixes: []IndexedPrefix{{Name: ".", ManifestPrefix: "m/", Archives: 3, Manifests: 2, Files: 5, Bytes: 7}},
	}
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeIndex(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
}

// sampleShard is a shard of two archives.
func sampleShard(tb testing.TB) []byte {
	tb.Helper()
	store := newMapStore()
	p := &Planner{Store: store}
	l := mirror("*")
	w, err := p.openWriter(tb.Context(), l)
	if err != nil {
		tb.Fatal(err)
	}
	w.pending[0].target = 2
	for n, name := range []string{"a", "b\xff"} {
		e := Entry{Path: name, Size: 9, Mode: 0o644, ModTime: time.Unix(1, 2)}
		if err := w.add(tb.Context(), Archive{Prefix: "*", Number: int64(n), Entries: []Entry{e, {Path: name + "s", Skipped: ReasonSocket}}}); err != nil {
			tb.Fatal(err)
		}
	}
	return store.objects[l.ShardKey(0, 0)]
}

// Zstandard tools shall read a shard as plain JSON lines.
func TestShardIsAZstdStreamOfLines(t *testing.T) {
	raw, err := expand(sampleShard(t))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"archive":0,"path":"a","size":9,"mode":"0644","mtime":1,"mtimeNs":2}
{"archive":0,"path":"as","size":0,"mode":"0000","mtime":-62135596800,"skipped":"Socket"}
{"archive":1,"pathBase64":"Yv8=","size":9,"mode":"0644","mtime":1,"mtimeNs":2}
{"archive":1,"pathBase64":"Yv9z","size":0,"mode":"0000","mtime":-62135596800,"skipped":"Socket"}
`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// A shard that is cut, or whose lengths do not fit, is noticed.
func TestShardNoticesDamage(t *testing.T) {
	data := sampleShard(t)
	for n := range len(data) {
		if _, err := decodeShard(data[:n]); err == nil {
			t.Errorf("a shard cut to %d of %d bytes is taken", n, len(data))
		}
	}
	if _, err := decodeShard(append(data, 0)); err == nil {
		t.Error("a shard with a byte behind it is taken")
	}
	// Lengths whose sum wraps around to the right one.
	wrapping, err := encodeShard(shardHeader{Archives: []shardArchive{
		{Frame: math.MaxInt64, Files: 1}, {Frame: math.MaxInt64, Files: 1}, {Frame: 2 + 5, Files: 1},
	}}, make([]byte, 5))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeShard(wrapping); err == nil {
		t.Error("a shard whose lengths wrap around is taken")
	}
}

func FuzzDecodeShard(f *testing.F) {
	f.Add(sampleShard(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeShard(data)
		if err != nil {
			return
		}
		for n := s.header.First; n < s.next(); n++ {
			a, err := s.archive(n)
			if err == nil && (a.Number != n || len(a.Entries) == 0) {
				t.Fatalf("archive %d of %d entries read for %d", a.Number, len(a.Entries), n)
			}
		}
	})
}

func FuzzDecodeManifest(f *testing.F) {
	data, err := Manifest{Members: []Member{{Path: "a"}, {Path: "b\xff", Mode: 0o644}}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeManifest(data)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeManifest(again); err != nil || !cmp.Equal(m, back) {
			t.Fatalf("%+v becomes %+v, %v", m, back, err)
		}
	})
}

func FuzzDecodePlan(f *testing.F) {
	data, err := Plan{Layout: mirror(".", "a", "*"), Prefixes: []PlannedPrefix{{"a", 1, 2, 3}}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodePlan(data)
		if err != nil {
			return
		}
		for i, prefix := range p.Layout.Prefixes() {
			if p.Layout.Pattern == Hash && p.Layout.Index(prefix) != i {
				t.Fatalf("prefix %d, %q, has index %d", i, prefix, p.Layout.Index(prefix))
			}
		}
		if prefix := p.Layout.Prefix("some/path"); p.Layout.Pattern != Mirror && p.Layout.Index(prefix) < 0 {
			t.Fatalf("prefix %q is none of the layout", prefix)
		}
	})
}

func FuzzDecodeIndex(f *testing.F) {
	data, err := Index{Layout: mirror("*"), Prefixes: []IndexedPrefix{{Name: "*"}}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		i, err := DecodeIndex(data)
		if err != nil {
			return
		}
		again, err := i.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeIndex(again); err != nil || !cmp.Equal(i, back) {
			t.Fatalf("%+v becomes %+v, %v", i, back, err)
		}
	})
}

func FuzzFilter(f *testing.F) {
	f.Add("a/**", "a/b/c")
	f.Add("{a,b}/*[!x]", "a/b")
	f.Fuzz(func(t *testing.T, pattern, p string) {
		c, err := newFilter([]string{pattern}, []string{pattern})
		if err != nil {
			return
		}
		if c.includes(p) != c.excludes(p) {
			t.Fatalf("pattern %q includes %q: %v, excludes it: %v", pattern, p, c.includes(p), c.excludes(p))
		}
	})
}

// TestBombsAreRefused has small objects that would expand to much.
func TestBombsAreRefused(t *testing.T) {
	head := `{"version":1,"transfer":"u","prefix":"00","number":0,"attempt":1,"members":[`
	for name, text := range map[string]string{
		"members without names": head + strings.Repeat("{},", 20<<20) + "{}]}",
		"many members":          head + strings.Repeat(`{"path":"a","mode":"0644","size":0},`, maxMembers) + `{"path":"a","mode":"0644"}]}`,
		"a long name":           head + `{"path":"` + strings.Repeat("a", 60<<20) + `","mode":"0644"}]}`,
		"a long field":          `{"x":"` + strings.Repeat("a", 60<<20) + `","version":1}`,
		"nameless attributes":   bomb(head, `"",`, 330_000),
		"many attributes":       bomb(head, `"a",`, maxMemberNames+1),
		"attributes everywhere": bomb(head, `"a",`, maxMemberNames),
		"blanks":                head + strings.Repeat(" ", 60<<20) + "]}",
	} {
		t.Run(name, func(t *testing.T) {
			body, err := compress([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, err = DecodeManifest(body)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("taken")
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 96<<20 {
				t.Errorf("%d bytes in %d took %d MiB of allocations", len(text), len(body), took>>20)
			}
		})
	}
}

// bomb is a manifest of members that each name attributes that are not kept.
func bomb(head, name string, count int) string {
	names := strings.TrimSuffix(strings.Repeat(name, count), ",")
	one := `{"path":"a","mode":"0644","xattrsNotKept":[` + names + `]}`
	return head + strings.Repeat(one+",", (60<<20)/len(one)) + one + "]}"
}

// TestWindowsAreBounded has a frame that asks for 512 MiB of history (RFC 8878, 3.1.1.1.2).
func TestWindowsAreBounded(t *testing.T) {
	frame := []byte{0x28, 0xB5, 0x2F, 0xFD, 0, 19 << 3, 1, 0, 0}
	if _, err := DecodeManifest(frame); !errors.Is(err, zstd.ErrWindowSizeExceeded) {
		t.Errorf("DecodeManifest: %v", err)
	}
	if _, err := expand(frame); !errors.Is(err, zstd.ErrWindowSizeExceeded) {
		t.Errorf("expand: %v", err)
	}
}

// compress makes one zstd frame.
func compress(raw []byte) ([]byte, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("start zstd encoder: %w", err)
	}
	return enc.EncodeAll(raw, nil), enc.Close()
}
