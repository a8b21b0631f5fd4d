package prices

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The example of the provider's own page: 15 million objects of 100 TiB in Flexible Retrieval
// cost 750 USD for the requests and 1,024 for the data in the tier Standard.
func TestThawingCostsWhatTheProviderSays(t *testing.T) {
	table, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	const objects, bytes = 15_000_000, 102_400 << 30
	retrieval, err := table.Thawing("GLACIER", "Standard", objects, bytes, 0)
	if err != nil || math.Abs(retrieval-1774) > 0.01 {
		t.Errorf("it costs %.2f, %v; want 1774.00", retrieval, err)
	}
	week, err := table.Thawing("GLACIER", "Standard", objects, bytes, 30)
	if want := 1774 + 102_400*0.023; err != nil || math.Abs(week-want) > 0.01 {
		t.Errorf("with copies for a month it costs %.2f, %v; want %.2f", week, err, want)
	}
}

func TestATierThatAClassHasNotIsAnError(t *testing.T) {
	table, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	_, err = table.Thawing("DEEP_ARCHIVE", "Expedited", 1, 1, 1)
	if err == nil || !strings.Contains(err.Error(), "Bulk and Standard") {
		t.Errorf("the error is %v; want one that names the tiers there are", err)
	}
}

func TestATableIsChecked(t *testing.T) {
	for _, text := range []string{
		`{`, `{"classes": [{"class": "", "gibMonth": 1}]}`, `{"thaw": [{"class": "X", "tier": "Bulk", "gib": -1}]}`,
	} {
		file := filepath.Join(t.TempDir(), "prices.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}
