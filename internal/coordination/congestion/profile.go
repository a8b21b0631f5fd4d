package congestion

import (
	"math"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// recentRounds is how many rounds the maximum of the rate, and the confidence, look back
	// (BBR).
	recentRounds = 10
)

// pathModel estimates the path from the signals of rounds. Attempts of unlike
// sizes take unlike times, so latencies are compared within one class of size.
type pathModel struct {
	protocol.NetworkProfile
	learningRate float64
	// latency is the round median, smoothed: the smallest of noisy medians would
	// lie below the true one and read as a queue.
	latency float64
	bases   [protocol.SizeClasses]baseLatency
	rates   ring
	history ring
}

func (m *pathModel) observe(now time.Time, s Signal, limited bool) {
	if s.Accepted <= 0 {
		return
	}
	if size := sizeOf(s.Bytes / s.Accepted); math.Abs(size-float64(m.SizeClass)) > 1 || m.rates.count == 0 {
		m.SizeClass = int(math.Round(size))
		m.latency = 0
		m.rates = ring{}
	}
	m.observeLatency(now, s)
	if limited && s.Accepted <= m.rates.max() {
		return
	}
	m.rates.push(s.Accepted)
	// Of any window that fills the path, Little's law makes the pipe.
	base := &m.bases[m.SizeClass]
	pipe := min(m.pipe(), perSecond(float64(s.InFlight), m.latency)*base.seconds)
	base.confirm(pipe)
	if !limited {
		m.learn(s)
	}
}

func (m *pathModel) observeLatency(now time.Time, s Signal) {
	seconds := s.Latency.Seconds()
	if seconds <= 0 {
		return
	}
	if m.latency == 0 || math.Abs(seconds-m.latency) > scatter*m.latency {
		m.latency = seconds
	} else {
		m.latency += m.smoothing() * (seconds - m.latency)
	}
	base := &m.bases[m.SizeClass]
	base.observe(now, s, m.latency)
	m.BaseLatency = time.Duration(base.seconds * float64(time.Second))
}

// learn updates the slow statistics that people and later runs read.
func (m *pathModel) learn(s Signal) {
	weight := m.learningRate
	if m.Samples == 0 {
		m.Bandwidth, m.RequestRate = s.Bytes, s.Accepted
	} else {
		if m.Bandwidth > 0 {
			m.Trend += weight * ((s.Bytes-m.Bandwidth)/m.Bandwidth*weight - m.Trend)
		}
		m.Bandwidth += weight * (s.Bytes - m.Bandwidth)
		m.RequestRate += weight * (s.Accepted - m.RequestRate)
	}
	m.Samples++
	m.history.push(s.Bytes)
	m.Confidence = min(1, float64(m.Samples)/recentRounds) / (1 + m.history.scatter())
}

// base and current latency in seconds; 0 when nothing was measured.
func (m *pathModel) base() float64    { return m.bases[m.SizeClass].seconds }
func (m *pathModel) current() float64 { return m.latency }

// rebase takes the present latency for that without a queue.
func (m *pathModel) rebase(now time.Time) { m.bases[m.SizeClass].rebase(now, m.latency) }

// baseAge tells how long ago the smallest latency was last confirmed.
func (m *pathModel) baseAge(now time.Time) time.Duration {
	return now.Sub(m.bases[m.SizeClass].at)
}

// queue estimates how many of the requests in flight wait: by Little's law
// inFlight · T₀/T of them are being served (Vegas, Brakmo and Peterson 1995).
func (m *pathModel) queue(inFlight float64) float64 {
	if m.latency <= 0 {
		return 0
	}
	return max(0, inFlight*(1-m.base()/m.latency))
}

// sound tells that the smallest latency was measured on a path that was not full.
func (m *pathModel) sound() bool { return m.bases[m.SizeClass].sound }

// pipe is the number of requests that fill the path without a queue.
func (m *pathModel) pipe() float64 { return m.rates.max() * m.base() }

// restore takes over what an earlier coordinator learned.
func (m *pathModel) restore(now time.Time, p protocol.NetworkProfile) {
	m.NetworkProfile = p
	m.SizeClass = min(max(p.SizeClass, 0), protocol.SizeClasses-1)
	if p.BaseLatency > 0 {
		m.bases[m.SizeClass] = baseLatency{seconds: p.BaseLatency.Seconds(), at: now}
	}
}

// smoothing is the weight of a new round in what follows the path closely.
func (m *pathModel) smoothing() float64 { return min(1, 5*m.learningRate) }

// sizeOf is the logarithm of a size to the base of four, within the classes.
func sizeOf(bytes float64) float64 {
	if !(bytes >= 1) {
		return 0
	}
	return min(math.Log2(bytes)/2, protocol.SizeClasses-1)
}

// ring holds the measurements of recent rounds.
type ring struct {
	values [recentRounds]float64
	next   int
	count  int
}

func (r *ring) push(value float64) {
	r.values[r.next] = value
	r.next = (r.next + 1) % recentRounds
	r.count = min(r.count+1, recentRounds)
}

func (r *ring) max() float64 {
	var most float64
	for _, v := range r.values[:r.count] {
		most = max(most, v)
	}
	return most
}

// scatter is the squared standard deviation over the squared mean.
func (r *ring) scatter() float64 {
	var sum, squares float64
	for _, v := range r.values[:r.count] {
		sum += v
		squares += v * v
	}
	if sum == 0 {
		return 0
	}
	n := float64(r.count)
	mean := sum / n
	return math.Max(0, squares/n-mean*mean) / (mean * mean)
}

// ratio is 0 where nothing was measured.
func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// perSecond is how many end per second of so many in flight (Little's law), without bound where
// the latency is unknown.
func perSecond(inFlight, latency float64) float64 {
	if latency <= 0 {
		return math.MaxFloat64
	}
	return inFlight / latency
}
