package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// dataset is a directory of files of one size.
type dataset struct {
	name  string
	files int
	size  int64
	// folder is how many files share a directory.
	folder int
	// text compresses; else the content is random.
	text bool
}

func (d dataset) bytes() int64 { return int64(d.files) * d.size }

// path of a file, relative to the directory.
func (d dataset) path(i int) string {
	return filepath.Join(fmt.Sprintf("d%05d", i/d.folder), fmt.Sprintf("f%07d", i))
}

// column is one comparison: a data set, how it is archived, and the path to it.
type column struct {
	name, about string
	data        dataset
	// copy are the arguments of cargoship copy.
	copy []string
	// tar is how a local archive of the same files is read: by tar's options; "" for not at all.
	tar string
	// conditions are those of the lab.
	conditions string
	// one: a single file is restored, by cargoship only.
	one bool
}

// columns are all comparisons. Those of one file have a number of files of choice.
func columns(files int) []column {
	text := dataset{"text", 512, 1 << 20, 32, true}
	big := dataset{"big", 4, 256 << 20, 4, false}
	packed := []string{"--packing", "tar"}
	plain := slices.Concat(packed, []string{"--compression", "none"})
	return []column{
		{name: "text-tar", about: "512 × 1 MiB of text in plain tars", data: text, copy: plain, tar: "-xf"},
		{name: "text-zstd", about: "the same in compressed ones", data: text, copy: packed, tar: "--zstd -xf"},
		{name: "small", about: "10,000 × 2 KiB, packed", data: dataset{"small", 10_000, 2 << 10, 100, false}, copy: packed, tar: "--zstd -xf"},
		{name: "big", about: "4 × 256 MiB, objects of their own", data: big, tar: "-xf"},
		{
			name: "connection", about: "1 × 256 MiB, an object of its own, at 400 Mb/s for each connection",
			data: dataset{"single", 1, 256 << 20, 1, false}, conditions: "bandwidth: {connectionMegabits: 400}\n",
		},
		{
			name: "one", about: fmt.Sprintf("one file of %d × 64 B, packed, at 20 ms for each request", files),
			data: dataset{"many", files, 64, 1000, false}, copy: packed, conditions: "serviceTime: {median: 20ms}\n", one: true,
		},
	}
}

// write makes the files under dir.
func (d dataset) write(dir string) error {
	words := vocabulary()
	for i := range d.files {
		p := filepath.Join(dir, d.path(i))
		if i%d.folder == 0 {
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				return fmt.Errorf("make data: %w", err)
			}
		}
		var key [32]byte
		binary.LittleEndian.PutUint64(key[:], uint64(i))
		if err := os.WriteFile(p, d.content(rand.NewChaCha8(key), words), 0o644); err != nil {
			return fmt.Errorf("make data: %w", err)
		}
	}
	return nil
}

func (d dataset) content(random *rand.ChaCha8, words []string) []byte {
	content := make([]byte, d.size)
	if !d.text {
		_, _ = random.Read(content)
		return content
	}
	var text bytes.Buffer
	for int64(text.Len()) < d.size {
		// Few words are common, as in languages.
		n := random.Uint64() % uint64(len(words))
		text.WriteString(words[n*(random.Uint64()%uint64(len(words)))/uint64(len(words))])
		text.WriteByte(' ')
	}
	copy(content, text.Bytes())
	return content
}

// vocabulary is made of syllables.
func vocabulary() []string {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 20_000)
	for i := range words {
		for range 1 + random.IntN(4) {
			words[i] += string("bdfgklmnprst"[random.IntN(12)]) + string("aeiou"[random.IntN(5)])
		}
	}
	return words
}
