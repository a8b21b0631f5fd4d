package copy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/s3"
)

func memoryIn(dir string) memory {
	return memoryOf(Options{Memory: dir, Destination: s3.Options{Bucket: "bucket", Endpoint: "https://s3.example.com"}})
}

func TestMemoryIsAsItWasKept(t *testing.T) {
	m := memoryIn(filepath.Join(t.TempDir(), "deep"))
	now := time.Now()
	if known := m.recall(now); known != nil {
		t.Errorf("%+v is known of a destination that nobody was at", known)
	}
	kept := protocol.NetworkProfile{BaseLatency: 120 * time.Millisecond, RequestRate: 400, Bandwidth: 4e8, Confidence: 0.8, Samples: 50}
	for range 2 {
		if err := m.keep(now, &kept); err != nil {
			t.Fatal(err)
		}
	}
	if known := m.recall(now); known == nil || *known != kept {
		t.Errorf("%+v is known, kept was %+v", known, kept)
	}
	if known := m.recall(now.Add(24 * time.Hour)); known == nil || known.Confidence != 0.4 {
		t.Errorf("after a day %+v is known", known)
	}
	if left, err := os.ReadDir(filepath.Dir(m.path)); err != nil || len(left) != 1 {
		t.Errorf("the directory holds %v, %v", left, err)
	}
	if err := (memory{}).keep(now, &kept); err != nil || (memory{}).recall(now) != nil {
		t.Errorf("something is remembered without a directory: %v", err)
	}
}

// Whatever somebody has written, a copy begins with a window of a sane size or as if nothing was known.
func TestMemoryEditedByHand(t *testing.T) {
	now := time.Now()
	for name, text := range map[string]string{
		"nothing":     "",
		"no JSON":     "{",
		"another":     `{"updated": 3}`,
		"no snapshot": `{"updated": "2026-11-29T00:00:00Z"}`,
		"a newer one": `{"updated": "2026-11-29T00:00:00Z", "snapshot": {"version": 99, "known": {"requestRate": 5}}}`,
		"absurd":      `{"updated": "2026-11-29T00:00:00Z", "snapshot": {"version": 1, "known": {"requestRate": 1e300, "baseLatency": 9223372036854775807, "confidence": 1e9}}}`,
		"negative":    `{"updated": "2026-11-29T00:00:00Z", "snapshot": {"version": 1, "known": {"requestRate": -5, "baseLatency": -1, "confidence": -1}}}`,
		"the future":  `{"updated": "2999-01-01T00:00:00Z", "snapshot": {"version": 1, "known": {"requestRate": 40000, "baseLatency": 1000000000, "confidence": 1}}}`,
	} {
		m := memoryIn(t.TempDir())
		if err := os.WriteFile(m.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		known := m.recall(now)
		if known == nil {
			continue
		}
		window := known.Window(32)
		switch {
		case window < 32 || window > 8*32:
			t.Errorf("%s: it begins with %d", name, window)
		case name == "the future" && window != 32:
			t.Errorf("%s: it begins with %d, as if that were known", name, window)
		}
		if text, err := json.Marshal(known); err != nil {
			t.Errorf("%s: what is known cannot be kept: %s, %v", name, text, err)
		}
	}
}
