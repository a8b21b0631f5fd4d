package archive

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkPacker is what it costs to make the tar of 64 files of 1 MiB, in buffers that are
// used again.
func BenchmarkPacker(b *testing.B) {
	const files, size = 64, 1 << 20
	dir := b.TempDir()
	random := rand.NewChaCha8([32]byte{1})
	for _, kind := range []string{"random", "text"} {
		content := make([]byte, size)
		for i := range files {
			_, _ = random.Read(content)
			if kind == "text" {
				for k := range content {
					content[k] = "etaoinsh"[content[k]%8]
				}
			}
			if err := os.MkdirAll(filepath.Join(dir, kind), 0o755); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, kind, fmt.Sprintf("f%03d", i)), content, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		for _, c := range []Compression{Plain, Zstd} {
			b.Run(kind+"/"+string(c), func(b *testing.B) { benchmarkPacker(b, filepath.Join(dir, kind), c, files*size) })
		}
	}
}

func benchmarkPacker(b *testing.B, dir string, c Compression, size int64) {
	s, l := openSource(b, dir), tarLayout(c)
	all, _ := walk(b, s, WalkOptions{Layout: l})
	compressor, err := NewCompressor(*l.Tar)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, testPart)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, a := range all {
			p := NewPacker(s, compressor, l.Tar.DigestAlgorithm(), a)
			for n, last := 0, false; !last; n++ {
				if _, last, err = p.Fill(b.Context(), n, buf); err != nil {
					b.Fatal(err)
				}
			}
			release(p)
		}
	}
}
