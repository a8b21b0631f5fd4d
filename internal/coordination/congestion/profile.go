package congestion

import (
	"math"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// historyLength is how many rounds the confidence looks back.
	historyLength = 20
	// bandwidthRounds is how many rounds the windowed maximum of the rate looks back.
	bandwidthRounds = 10
	// baseSlack is how far above the smallest latency a round still confirms it.
	baseSlack = 1.05
	// Fewer than fewRequests accepted give hardly a median to rely on, fewer than
	// manyRequests one that may lie far off.
	fewRequests  = 20
	manyRequests = 50
	// shortestLatency in seconds takes the place of none.
	shortestLatency = 1e-9
	// youngShare times the requests that ended were started in a young round.
	youngShare = 1.75
	// latencyJump is the change of the latency that is no scatter.
	latencyJump = 0.15
	// fullPipe times what was in flight is a pipe that this did not fill.
	fullPipe = 1.2
	// baseScatter is how far medians of rounds lie apart by chance; the smallest of
	// many would lie as far below the true one, so of each that is within it only
	// scatterWeight counts.
	baseScatter   = 0.1
	scatterWeight = 0.25
	// medianScatter over the root of the requests in it is how far a median lies off by
	// chance: thrice 1.25 σ (Kenney and Keeping, 1962), at a relative σ of one half.
	medianScatter = 2
	// classSlack, in classes, is how far the mean size may move before the class
	// does: a mix of sizes on the border of two must not flap between them.
	classSlack = 0.8
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

// baseLatency is the smallest smoothed latency in seconds, and when it was last seen.
type baseLatency struct {
	seconds float64
	at      time.Time
	// inFlight is the least of requests that were in flight when it was seen, young
	// whether it was in a young round, and sound that they did not fill the path.
	inFlight     float64
	young, sound bool
}

func (m *pathModel) observe(now time.Time, s Signal, limited bool) {
	if s.Accepted <= 0 {
		return
	}
	if size := sizeOf(s.Bytes / s.Accepted); math.Abs(size-float64(m.SizeClass)) > classSlack || m.rates.count == 0 {
		m.SizeClass = int(math.Round(size))
		m.latency = 0
		m.rates = ring{}
	}
	m.observeLatency(now, s)
	if limited && s.Accepted <= m.rates.max() {
		return
	}
	m.rates.push(s.Accepted, bandwidthRounds)
	// Of any window that fills the path, Little's law makes the pipe.
	base := &m.bases[m.SizeClass]
	pipe := min(m.pipe(), float64(s.InFlight)*base.seconds/max(m.latency, shortestLatency))
	base.sound = base.sound || !base.young && pipe >= fullPipe*base.inFlight
	if !limited {
		m.learn(s)
	}
}

func (m *pathModel) observeLatency(now time.Time, s Signal) {
	seconds := s.Latency.Seconds()
	if seconds <= 0 {
		return
	}
	if m.latency == 0 || math.Abs(seconds-m.latency) > latencyJump*m.latency {
		m.latency = seconds
	} else {
		m.latency += m.smoothing() * (seconds - m.latency)
	}
	base := &m.bases[m.SizeClass]
	few := s.acceptances() < fewRequests
	switch {
	case base.seconds == 0 || !s.young() && (m.latency <= base.seconds || base.young && !few):
		m.lower(now, s)
	case m.latency <= baseSlack*base.seconds:
		base.at = now
	}
	m.BaseLatency = time.Duration(base.seconds * float64(time.Second))
}

// lower takes the present latency for the smallest, or where it may be no more than
// scatter below it, goes a part of the way: the smaller, the fewer requests it is of.
func (m *pathModel) lower(now time.Time, s Signal) {
	base, accepted := &m.bases[m.SizeClass], s.acceptances()
	few := accepted < fewRequests
	scattered := accepted < manyRequests || m.latency > (1-max(baseScatter, medianScatter/math.Sqrt(accepted)))*base.seconds
	if base.seconds > 0 && (few || !base.young && scattered) {
		base.seconds += scatterWeight * min(1, accepted/fewRequests) * (m.latency - base.seconds)
		base.at = now
		return
	}
	*base = baseLatency{seconds: m.latency, at: now, inFlight: float64(s.InFlight), young: few || s.young()}
}

// rebase takes the present latency for the smallest, or where the two differ by no
// more than scatter, the mean.
func (m *pathModel) rebase(now time.Time) {
	base := &m.bases[m.SizeClass]
	seconds := m.latency
	if math.Abs(seconds-base.seconds) <= baseScatter*base.seconds {
		seconds = (seconds + base.seconds) / 2
	}
	if seconds > 0 {
		*base = baseLatency{seconds: seconds, at: now, sound: true}
	}
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
	m.history.push(s.Bytes, historyLength)
	m.Confidence = min(1, float64(m.Samples)/historyLength) / (1 + m.history.scatter())
}

// base and current latency in seconds; 0 when nothing was measured.
func (m *pathModel) base() float64    { return m.bases[m.SizeClass].seconds }
func (m *pathModel) current() float64 { return m.latency }

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

// ring holds the last few measurements.
type ring struct {
	values [historyLength]float64
	next   int
	count  int
}

// push keeps the last limit values, limit being at most historyLength.
func (r *ring) push(value float64, limit int) {
	r.values[r.next] = value
	r.next = (r.next + 1) % limit
	r.count = min(r.count+1, limit)
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
