package fairshare

import (
	"testing"
	"time"
)

// While more is charged than the window, a worker keeps to what it was told last: that may move
// between its prefixes, and no more of what is charged to it may be given back than fits.
func TestWhatExceedsTheWindowIsNotGrantedAnew(t *testing.T) {
	for name, c := range map[string]struct {
		free, charged int
		before, want  [2]int // windows
		targets       [2]int
	}{
		"room for all":             {0, 8, [2]int{2, 0}, [2]int{8, 0}, [2]int{8, 0}},
		"told to do with less":     {-6, 8, [2]int{2, 0}, [2]int{2, 0}, [2]int{8, 0}},
		"more fits":                {-3, 8, [2]int{2, 0}, [2]int{5, 0}, [2]int{8, 0}},
		"moves between prefixes":   {-6, 8, [2]int{8, 0}, [2]int{3, 5}, [2]int{3, 5}},
		"shrinks":                  {-6, 8, [2]int{8, 0}, [2]int{4, 0}, [2]int{4, 0}},
		"wants more than charged":  {-6, 8, [2]int{8, 0}, [2]int{8, 0}, [2]int{12, 0}},
		"was told more than holds": {-6, 0, [2]int{8, 0}, [2]int{8, 0}, [2]int{12, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			w := NewWorker(time.Time{}, nil)
			for i, target := range c.targets {
				w.Parts = append(w.Parts, &Part{Worker: &w, Target: target, Window: c.before[i]})
			}
			var d Divider
			d.Grow(time.Time{}, c.free, []Growth{{Worker: &w, Charged: c.charged, Wanted: max(0, w.Target()-c.charged)}})
			if got := [2]int{w.Parts[0].Window, w.Parts[1].Window}; got != c.want {
				t.Errorf("windows %v, want %v", got, c.want)
			}
		})
	}
}
