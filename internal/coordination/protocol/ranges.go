package protocol

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// MaxNumber is the largest member of a Ranges; one less than the largest int64,
// so that the count of any set is an int64.
const MaxNumber = math.MaxInt64 - 1

// Ranges is a set of numbers from 0 to 1<<63 - 2, compact where they are
// consecutive. The zero value is the empty set. Copies share memory: Clone
// before changing one of two.
type Ranges struct {
	// spans are disjoint, ascending and not adjacent.
	spans []span
}

// span holds the numbers first to last, both included.
type span struct{ first, last int64 }

// ParseRanges reads what String writes, and nothing else: ascending numbers and
// ranges that neither overlap nor touch, such as "0-41,43-99". The empty string
// is the empty set.
func ParseRanges(text string) (Ranges, error) {
	var r Ranges
	if text == "" {
		return r, nil
	}
	previous := int64(-2)
	for part := range strings.SplitSeq(text, ",") {
		s, err := parseSpan(part)
		if err != nil {
			return Ranges{}, fmt.Errorf("parse ranges: %w", err)
		}
		if s.first <= previous+1 {
			return Ranges{}, fmt.Errorf("parse ranges: %q overlaps, touches or precedes what stands before it", part)
		}
		r.spans = append(r.spans, s)
		previous = s.last
	}
	return r, nil
}

func parseSpan(text string) (span, error) {
	first, last, isRange := strings.Cut(text, "-")
	from, err := parseNumber(first)
	if err != nil || !isRange {
		return span{from, from}, err
	}
	to, err := parseNumber(last)
	if err != nil {
		return span{}, err
	}
	if to <= from {
		return span{}, fmt.Errorf("%q does not ascend", text)
	}
	return span{from, to}, nil
}

// parseNumber accepts plain decimals only: no sign, no leading zero.
func parseNumber(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > MaxNumber || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("%q is not a number from 0 to %d", text, int64(MaxNumber))
	}
	return n, nil
}

// String writes the set as ParseRanges reads it.
func (r Ranges) String() string {
	var b strings.Builder
	for i, s := range r.spans {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(s.first, 10))
		if s.last > s.first {
			b.WriteByte('-')
			b.WriteString(strconv.FormatInt(s.last, 10))
		}
	}
	return b.String()
}

// Contains tells whether n is in the set.
func (r Ranges) Contains(n int64) bool {
	i := r.search(n)
	return i < len(r.spans) && r.spans[i].first <= n
}

// Count is the number of members.
func (r Ranges) Count() int64 {
	var n int64
	for _, s := range r.spans {
		n += s.last - s.first + 1
	}
	return n
}

// Add puts n into the set and tells whether it was absent. A number outside
// 0 to 1<<63 - 2 is never a member.
func (r *Ranges) Add(n int64) bool {
	if n < 0 || n > MaxNumber || r.Contains(n) {
		return false
	}
	r.insert(span{n, n})
	return true
}

// Clone gives a copy that shares no memory.
func (r Ranges) Clone() Ranges { return Ranges{spans: slices.Clone(r.spans)} }

// End is above every member; 0 for the empty set.
func (r Ranges) End() int64 {
	if len(r.spans) == 0 {
		return 0
	}
	return r.spans[len(r.spans)-1].last + 1
}

// CountBetween is the number of members from from to to - 1.
func (r Ranges) CountBetween(from, to int64) int64 {
	var n int64
	for _, s := range r.spans[r.search(from):] {
		if s.first >= to {
			break
		}
		n += min(s.last+1, to) - max(s.first, from)
	}
	return n
}

// AbsentFrom finds the first number from n on that is no member.
func (r Ranges) AbsentFrom(n int64) int64 {
	if i := r.search(n); i < len(r.spans) && r.spans[i].first <= n {
		return r.spans[i].last + 1
	}
	return n
}

// search finds the first span that ends at n or above.
func (r Ranges) search(n int64) int {
	return sort.Search(len(r.spans), func(i int) bool { return r.spans[i].last >= n })
}

// insert joins s with the spans that it overlaps or touches.
func (r *Ranges) insert(s span) {
	// A span that ends at s.first - 1 touches s; s.first may be 0.
	from := sort.Search(len(r.spans), func(i int) bool { return r.spans[i].last >= s.first-1 })
	to := from
	for ; to < len(r.spans) && r.spans[to].first <= s.last+1; to++ {
		s.first = min(s.first, r.spans[to].first)
		s.last = max(s.last, r.spans[to].last)
	}
	r.spans = slices.Replace(r.spans, from, to, s)
}

// Spans counts the runs of consecutive members.
func (r Ranges) Spans() int { return len(r.spans) }

// Equal tells that two sets have the same members.
func (r Ranges) Equal(o Ranges) bool { return slices.Equal(r.spans, o.spans) }

// AddRange puts the numbers from first to last into the set, none of which is in it.
func (r *Ranges) AddRange(first, last int64) {
	if first <= last {
		r.insert(span{first, last})
	}
}

// AddAll adds the numbers of another one.
func (r *Ranges) AddAll(o Ranges) {
	for first, last := range o.Runs() {
		r.AddRange(first, last)
	}
}

// Runs yields the first and the last of each run of consecutive members, ascending.
func (r Ranges) Runs() iter.Seq2[int64, int64] {
	return func(yield func(first, last int64) bool) {
		for _, s := range r.spans {
			if !yield(s.first, s.last) {
				return
			}
		}
	}
}

// Remove takes n out of the set and tells whether it was there.
func (r *Ranges) Remove(n int64) bool {
	i := r.search(n)
	if i == len(r.spans) || r.spans[i].first > n {
		return false
	}
	s := r.spans[i]
	var left []span
	if s.first < n {
		left = append(left, span{s.first, n - 1})
	}
	if n < s.last {
		left = append(left, span{n + 1, s.last})
	}
	r.spans = slices.Replace(r.spans, i, i+1, left...)
	return true
}

// CutLast takes the last members out of the set until so many are left, and gives them.
func (r *Ranges) CutLast(left int64) (cut Ranges) {
	for excess := r.Count() - max(left, 0); excess > 0; {
		last := len(r.spans) - 1
		s := &r.spans[last]
		n := min(excess, s.last-s.first+1)
		cut.spans = append([]span{{s.last - n + 1, s.last}}, cut.spans...)
		if s.last -= n; s.last < s.first {
			r.spans = r.spans[:last]
		}
		excess -= n
	}
	return cut
}

// First is the least member, if there is one.
func (r Ranges) First() (n int64, ok bool) {
	if len(r.spans) == 0 {
		return 0, false
	}
	return r.spans[0].first, true
}

// PresentFrom finds the first member from n on; above all numbers where there is none.
func (r Ranges) PresentFrom(n int64) int64 {
	if i := r.search(n); i < len(r.spans) {
		return max(n, r.spans[i].first)
	}
	return math.MaxInt64
}
