package main

import (
	"path/filepath"
	"testing"
)

// A user without a home, as services and tests run by, gets none made.
func TestNothingIsRememberedWithoutAHome(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", home)
	if got, want := memoryDirectory(), filepath.Join(home, ".cache", "cargoship", "destinations"); got != want {
		t.Errorf("with a home: %q, want %q", got, want)
	}
	t.Setenv("HOME", filepath.Join(home, "missing"))
	if got := memoryDirectory(); got != "" {
		t.Errorf("without a home: %q, want nothing", got)
	}
}
