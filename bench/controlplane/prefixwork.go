package main

import (
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
)

// prefixWork is what a puppet sends to one prefix.
type prefixWork struct {
	window   int64
	rate     float64 // requests per second, 0 for unpaced
	archives []underWay
	ended    map[int64]bool // that are still granted

	accepted, started, busy float64
	bytes                   int64
}

// underWay is an archive with the requests that it has left.
type underWay struct {
	number int64
	left   float64
}

// set sets the window, and what of it is in flight on the path.
func (l *prefixWork) set(p *path, window int64) {
	p.inFlight.Add(window - l.window)
	l.window = window
}

// assign takes over the archives of a grant, in its order.
func (l *prefixWork) assign(archives []v1alpha1.ArchiveAssignment) {
	left := map[int64]float64{}
	for _, a := range l.archives {
		left[a.number] = a.left
	}
	ended := l.ended
	l.archives, l.ended = l.archives[:0], map[int64]bool{}
	for _, a := range archives {
		number := ptr.Deref(a.Number, 0)
		if ended[number] {
			l.ended[number] = true
			continue
		}
		requests, begun := left[number]
		if !begun {
			requests = archiveRequests
		}
		l.archives = append(l.archives, underWay{number, requests})
	}
}

// allows is how many requests per second the grant allows.
func (l *prefixWork) allows(latency time.Duration) float64 {
	speed := float64(l.window) / latency.Seconds()
	if l.rate > 0 {
		speed = min(speed, l.rate)
	}
	return speed
}

// advance sends for some seconds, and returns the archives that have ended.
func (l *prefixWork) advance(seconds float64, latency time.Duration) (ended []int64) {
	n := l.allows(latency) * seconds
	for n > 0 && len(l.archives) > 0 {
		a := &l.archives[0]
		sent := min(n, a.left)
		n, a.left = n-sent, a.left-sent
		l.accepted += sent
		l.busy += sent * latency.Seconds()
		if a.left <= 0 {
			l.ended[a.number] = true
			l.bytes += archiveBytes
			ended = append(ended, a.number)
			l.archives = l.archives[1:]
		}
	}
	inFlight := 0.0
	if len(l.archives) > 0 {
		inFlight = min(float64(l.window), l.allows(latency)*latency.Seconds())
	}
	l.started = max(l.started, l.accepted+inFlight)
	return ended
}

// untilDry is when nothing is left to send, 0 for never.
func (l *prefixWork) untilDry(latency time.Duration) time.Duration {
	left, speed := 0.0, l.allows(latency)
	for _, a := range l.archives {
		left += a.left
	}
	if left == 0 || speed == 0 {
		return 0
	}
	return time.Duration(left/speed*float64(time.Second)) + time.Millisecond
}

func (l *prefixWork) report(name string, latency time.Duration) v1alpha1.PrefixReport {
	r := v1alpha1.PrefixReport{
		Name: name, Started: ptr.To(int64(l.started)), Accepted: ptr.To(int64(l.accepted)), Throttled: ptr.To(int64(0)), Failed: ptr.To(int64(0)),
		Bytes: ptr.To(l.bytes), BusyMicroseconds: ptr.To(int64(l.busy * 1e6)), MaxInFlight: ptr.To(int32(l.window)),
	}
	if l.accepted > 0 {
		r.AttemptP50Microseconds, r.ServiceP50Microseconds = ptr.To(latency.Microseconds()), ptr.To(latency.Microseconds())
		r.ServiceP99Microseconds = ptr.To(latency.Microseconds() * 3 / 2)
	}
	return r
}
