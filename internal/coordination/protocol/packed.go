package protocol

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// packedMark begins the packed form. ParseRanges names it in its error, which is what a manager
// says that knows no other form than that.
const packedMark = "packed,"

// packedDigits are base64 for URLs (RFC 4648), each of six bits, the first of them the highest.
const (
	packedDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	digitBits    = 6
)

// Packed writes the set as ParseRecord reads it, in fewer bytes than String where it has many
// runs: after the mark one bit that tells whether 0 is a member, and then the lengths of the runs
// of members and of numbers that are none, by turns, from 0 to the last member. A length is an
// Elias gamma code: as many zeros as it has binary digits after the first, and then these digits.
func (r Ranges) Packed() string {
	if len(r.spans) == 0 {
		return ""
	}
	w := bitWriter{}
	w.write(1, 1-min(uint64(r.spans[0].first), 1))
	next := int64(0)
	for _, s := range r.spans {
		if s.first > next {
			w.gamma(s.first - next)
		}
		w.gamma(s.last - s.first + 1)
		next = s.last + 1
	}
	return packedMark + w.end()
}

// ParseRecord reads what Packed and String write, and nothing else.
func ParseRecord(text string) (Ranges, error) {
	digits, packed := strings.CutPrefix(text, packedMark)
	if !packed {
		return ParseRanges(text)
	}
	r, err := unpack(digits)
	if err == nil && r.Packed() != text {
		err = errors.New("it does not end where its last run ends")
	}
	if err != nil {
		return Ranges{}, fmt.Errorf("parse packed ranges: %w", err)
	}
	return r, nil
}

func unpack(digits string) (Ranges, error) {
	r := bitReader{digits: digits}
	member, next := r.read(1) == 1, int64(0)
	var out Ranges
	for r.more() {
		n := r.gamma()
		if r.err != nil {
			return Ranges{}, r.err
		}
		if n-1 > MaxNumber-next {
			return Ranges{}, fmt.Errorf("a run ends above %d", int64(MaxNumber))
		}
		if member {
			out.spans = append(out.spans, span{next, next + n - 1})
		}
		member, next = !member, next+n
	}
	return out, r.err
}

// RunBits is how many bits the lengths of the runs of members take in the packed form.
func (r Ranges) RunBits() int64 {
	n := 0
	for _, s := range r.spans {
		n += gammaBits(s.last - s.first + 1)
	}
	return int64(n)
}

// gammaBits is the length of the code of a number.
func gammaBits(n int64) int { return 2*bits.Len64(uint64(n)) - 1 }

// bitWriter writes numbers bit by bit, the highest first, as digits.
type bitWriter struct {
	text strings.Builder
	// have are the last bits, which fill no digit yet.
	have  uint64
	count int
}

func (w *bitWriter) gamma(n int64) {
	digits := bits.Len64(uint64(n))
	w.write(digits-1, 0)
	w.write(digits, uint64(n))
}

func (w *bitWriter) write(count int, n uint64) {
	for i := count - 1; i >= 0; i-- {
		w.have, w.count = w.have<<1|n>>i&1, w.count+1
		if w.count == digitBits {
			w.text.WriteByte(packedDigits[w.have])
			w.have, w.count = 0, 0
		}
	}
}

// end fills the last digit with zeros, and gives the text.
func (w *bitWriter) end() string {
	if w.count > 0 {
		w.write(digitBits-w.count, 0)
	}
	return w.text.String()
}

// bitReader reads what bitWriter has written.
type bitReader struct {
	digits string
	at     int // in bits
	err    error
}

// more tells that there is something left but what fills the last digit.
func (r *bitReader) more() bool {
	rest := *r
	for left := len(r.digits)*digitBits - r.at; left < digitBits; left-- {
		if left == 0 {
			return false
		}
		if rest.read(1) == 1 {
			break
		}
	}
	return r.err == nil
}

func (r *bitReader) gamma() int64 {
	zeros := 0
	for r.read(1) == 0 && r.err == nil {
		zeros++
	}
	if zeros > 62 {
		r.err = errors.New("a length has more than 63 binary digits")
	}
	if r.err != nil {
		return 0
	}
	return int64(1<<zeros | r.read(zeros))
}

func (r *bitReader) read(count int) uint64 {
	n := uint64(0)
	for range count {
		if r.err != nil || r.at == len(r.digits)*digitBits {
			r.err = cmp.Or(r.err, errors.New("it ends within a length"))
			return 0
		}
		digit := strings.IndexByte(packedDigits, r.digits[r.at/digitBits])
		if digit < 0 {
			r.err = fmt.Errorf("%q is no digit", r.digits[r.at/digitBits])
			return 0
		}
		n = n<<1 | uint64(digit)>>(digitBits-1-r.at%digitBits)&1
		r.at++
	}
	return n
}
