package lab

import (
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// dice decides which requests faults strike. What the nth attempt at a request meets
// depends on the seed alone, not on what else is under way.
type dice struct {
	seed uint64

	mu       sync.Mutex
	faults   []armed
	attempts map[uint64]uint64
}

// armed is a fault with what it has done so far.
type armed struct {
	Fault
	pattern        pattern
	seen, stricken int
}

// maxAttempts bounds how many requests are remembered.
const maxAttempts = 1 << 20

func newDice(seed uint64) *dice { return &dice{seed: seed, attempts: map[uint64]uint64{}} }

func (d *dice) arm(faults []Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = nil
	for _, f := range faults {
		d.faults = append(d.faults, armed{Fault: f, pattern: newPattern(f.Keys)})
	}
}

// strike is a fault that strikes one request.
type strike struct {
	Fault
	// at is where in a body it strikes, as a fraction.
	at float64
}

// roll returns what strikes a request, and randomness for the rest of its fate.
func (d *dice) roll(t target) (*strike, *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := identity(t)
	if len(d.attempts) >= maxAttempts {
		clear(d.attempts)
	}
	d.attempts[id]++
	random := rand.New(rand.NewPCG(d.seed^id, d.attempts[id]))
	for i := range d.faults {
		f := &d.faults[i]
		if !f.concerns(t) {
			continue
		}
		f.seen++
		drawn, at := random.Float64(), random.Float64()
		if f.seen > f.Skip && drawn < f.Share && (f.Most == 0 || f.stricken < f.Most) {
			f.stricken++
			return &strike{f.Fault, at}, random
		}
	}
	return nil, random
}

func (f *armed) concerns(t target) bool {
	if len(f.Operations) > 0 && !slices.Contains(f.Operations, t.operation) {
		return false
	}
	_, ok := f.pattern.match(t.key)
	return ok
}

// identity is the same for all attempts at a request, in all runs: an FNV-1a hash.
func identity(t target) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	hash := uint64(offset)
	for _, text := range []string{t.operation, t.bucket, t.key, t.part} {
		for i := range len(text) {
			hash = (hash ^ uint64(text[i])) * prime
		}
		hash = (hash ^ 0xff) * prime
	}
	return hash
}

// wait is how long a fault lasts.
func (s *strike) wait() time.Duration {
	if s.Duration == 0 {
		return 10 * time.Second
	}
	return s.Duration
}

// upload is the body of a request on its way to the server, which may answer while the
// rest of it is still being sent.
type upload struct {
	io.ReadCloser
	struck *strike
	// length of the body; -1 when the client has not told it.
	length int64

	mu    sync.Mutex
	state uploaded
}

// uploaded is how far a body has come.
type uploaded struct {
	n     int64
	ended time.Time
	// broken: the body was cut off; the handler must reset the connection.
	broken bool
}

// sent is how far the body has come by now.
func (u *upload) sent() uploaded {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.state.n
	u.state.n += int64(n)
	if err != nil || u.state.n == u.length {
		u.state.ended = time.Now()
	}
	if u.struck == nil || u.length <= 0 {
		return n, err
	}
	place := int64(u.struck.at * float64(u.length))
	if place < before || place >= u.state.n {
		return n, err
	}
	switch u.struck.Kind {
	case DamageRequest:
		p[place-before] ^= 0x20
	case ResetRequest:
		u.state.broken = true
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
