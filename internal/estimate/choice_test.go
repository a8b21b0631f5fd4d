package estimate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/prices"
)

// ways are both packings of a directory with so many files of a size.
func ways(t *testing.T, files int, size int64, terms prices.Terms) []Way {
	t.Helper()
	table, err := prices.Default()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := range files {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
	}
	var all []Way
	for _, layout := range []archive.Layout{
		{Pattern: archive.Mirror},
		{Pattern: archive.Hash, Tar: &archive.Tar{Name: "data", TargetSize: 1 << 30, LargeFile: 64 << 20, Compression: archive.Plain}},
	} {
		r, err := Directory(t.Context(), dir, layout, nil, nil, table)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, NewWay(r, table, terms))
	}
	return all
}

func TestSmallFilesAreCheapestPacked(t *testing.T) {
	choices := Cheapest(ways(t, 400, 50_000, prices.Terms{Months: 600}), "USD")
	if len(choices) != 2 {
		t.Fatalf("%+v", choices)
	}
	c, open := choices[0], choices[1]
	if c.Packing != "tar" || c.AtOnce || open.Packing != "tar" || !open.AtOnce || open.Total < c.Total {
		t.Errorf("%+v, and without a thaw %+v", c, open)
	}
	text := strings.Join(c.Reasons, "\n")
	for _, want := range []string{"packing objects 405", "the next class", "tier Bulk", "180 days"} {
		if !strings.Contains(text, want) {
			t.Errorf("the reasons do not say %q:\n%s", want, text)
		}
	}
}

// What is read without a thaw and is the cheapest of all is named once.
func TestTheCheapestIsNamedOnce(t *testing.T) {
	all := ways(t, 3, 10, prices.Terms{})
	for i := range all {
		all[i].Costs = all[i].Costs[:1] // STANDARD
	}
	if choices := Cheapest(all, "USD"); len(choices) != 1 || !choices[0].AtOnce {
		t.Errorf("%+v", choices)
	}
}
