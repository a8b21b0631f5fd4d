package sim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Duration is a time such as 120s or 250ms.
type Duration time.Duration

// Bandwidth is in bytes per second, written as 10Gbps (bits) or 85MB/s (bytes).
type Bandwidth float64

// Rate is in requests per second, written as 400/s.
type Rate float64

// Size is in bytes, written as 8MiB or 800MB.
type Size int64

// Share is a part of a whole from 0 to 1, written as 0.1% or 0.001.
type Share float64

// UnmarshalYAML reads a duration in Go's notation.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	parsed, err := time.ParseDuration(n.Value)
	if err != nil {
		return unitError(n, "a duration such as 120s or 250ms")
	}
	*d = Duration(parsed)
	return nil
}

// UnmarshalYAML reads bits per second (10Gbps) or bytes per second (85MB/s).
func (b *Bandwidth) UnmarshalYAML(n *yaml.Node) error {
	const form = "a bandwidth such as 10Gbps or 85MB/s"
	bits, isBits := strings.CutSuffix(n.Value, "bps")
	if isBits {
		value, ok := scaled(bits)
		if !ok {
			return unitError(n, form)
		}
		*b = Bandwidth(value / 8)
		return nil
	}
	bytes, ok := strings.CutSuffix(n.Value, "B/s")
	value, fits := scaled(bytes)
	if !ok || !fits {
		return unitError(n, form)
	}
	*b = Bandwidth(value)
	return nil
}

// UnmarshalYAML reads requests per second.
func (r *Rate) UnmarshalYAML(n *yaml.Node) error {
	number, ok := strings.CutSuffix(n.Value, "/s")
	value, fits := scaled(number)
	if !ok || !fits {
		return unitError(n, "a rate such as 400/s")
	}
	*r = Rate(value)
	return nil
}

// UnmarshalYAML reads a number of bytes.
func (s *Size) UnmarshalYAML(n *yaml.Node) error {
	number, ok := strings.CutSuffix(n.Value, "B")
	value, fits := scaled(number)
	if !ok || !fits || math.Abs(value) > math.MaxInt64/2 {
		return unitError(n, "a size such as 8MiB or 800MB")
	}
	*s = Size(value)
	return nil
}

// UnmarshalYAML reads a percentage or a fraction.
func (s *Share) UnmarshalYAML(n *yaml.Node) error {
	number, percent := strings.CutSuffix(n.Value, "%")
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || math.IsNaN(value) {
		return unitError(n, "a share such as 0.1% or 0.001")
	}
	if percent {
		value /= 100
	}
	*s = Share(value)
	return nil
}

// scaled reads a number with an SI or binary prefix.
func scaled(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	scale := 1.0
	for _, p := range []struct {
		prefix string
		scale  float64
	}{
		{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40},
		{"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12},
	} {
		if rest, ok := strings.CutSuffix(text, p.prefix); ok {
			text, scale = rest, p.scale
			break
		}
	}
	value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return value * scale, err == nil && !math.IsNaN(value) && !math.IsInf(value, 0)
}

func unitError(n *yaml.Node, form string) error {
	return &lineError{n.Line, fmt.Sprintf("%q is not %s", n.Value, form)}
}

// lineError is an error at a line of a file.
type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.text) }
