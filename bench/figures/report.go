package figures

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Head is when and where a benchmark ran.
type Head struct {
	Date    string `json:"date"`
	Machine string `json:"machine"`
	// Load is the load average of the last minute when the measuring began.
	Load string `json:"loadAverage"`
}

// NewHead describes this machine, now.
func NewHead() Head {
	return Head{Date: time.Now().UTC().Format(time.DateOnly), Machine: Machine(), Load: Load()}
}

// WriteData writes what was measured as JSON.
func WriteData(file string, data any) error {
	text, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

// ReadData reads what WriteData wrote.
func ReadData(file string, data any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the results: %w", err)
	}
	if err := json.Unmarshal(text, data); err != nil {
		return fmt.Errorf("read the results in %s: %w", file, err)
	}
	return nil
}

// WritePage writes a page with what writes it.
func WritePage(file string, write func(io.Writer) error) error {
	page, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	if err := errors.Join(write(page), page.Close()); err != nil {
		return fmt.Errorf("write the page %s: %w", file, err)
	}
	return nil
}

// Spread is a median with its extremes.
type Spread struct{ Median, Least, Most float64 }

// NewSpread returns that of the values, zero for none.
func NewSpread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return Spread{(values[(n-1)/2] + values[n/2]) / 2, values[0], values[n-1]}
}

// SpreadOf is that of a figure of all runs.
func SpreadOf[R any](runs []R, of func(R) float64) Spread {
	var values []float64
	for _, r := range runs {
		values = append(values, of(r))
	}
	return NewSpread(values)
}

// Ratio is the spread of ours to theirs, by pairs of runs of the same round.
func Ratio[R any](ours, theirs []R, of func(R) float64) Spread {
	var values []float64
	for i := range min(len(ours), len(theirs)) {
		if other := of(theirs[i]); other > 0 {
			values = append(values, of(ours[i])/other)
		}
	}
	return NewSpread(values)
}
