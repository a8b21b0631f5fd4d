package pace

import "time"

// bucketDepth is for how long what was not passed may be made up for: long enough for timers of a
// busy machine, and a hundredth of the ten seconds over which limits are to hold.
const bucketDepth = 100 * time.Millisecond

// Bucket lets what costs something pass at a rate: it holds bucketDepth's worth at most, and
// what passes may leave it in debt, which must be paid before more may pass. Unlike a pacer it
// has no window and knows no refusals. The zero value has no rate and lets everything pass.
// Times passed in must not run backwards. It is not safe for concurrent use.
type Bucket struct {
	rate, level float64
	at          time.Time
}

// Set replaces the rate, per second; 0 lets everything pass. Debt stays, and is paid at the new
// rate from now on. A bucket that had no rate begins with a debt, so that those who are given
// one at the same moment need not start together.
func (b *Bucket) Set(now time.Time, rate, debt float64) {
	b.fill(now)
	if !(rate > 0) { // also when it is no number
		rate = 0
	}
	if b.rate == 0 {
		b.level = -debt
	}
	b.rate = rate
	b.level = min(b.level, b.depth())
}

// Rate is what passes per second, 0 for any number.
func (b *Bucket) Rate() float64 { return b.rate }

// Wait is how long it takes until no more than a debt is left, 0 if that is so now.
func (b *Bucket) Wait(now time.Time, debt float64) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.fill(now)
	missing := -debt - b.level
	if missing <= 0 {
		return 0
	}
	return max(time.Nanosecond, time.Duration(min(missing/b.rate, longestWait.Seconds())*float64(time.Second)))
}

// Take takes what passes, or by a negative cost gives back.
func (b *Bucket) Take(now time.Time, cost float64) {
	if b.rate > 0 {
		b.fill(now)
		b.level = min(b.level-cost, b.depth())
	}
}

// longestWait is the longest that is told.
const longestWait = time.Hour

func (b *Bucket) depth() float64 { return b.rate * bucketDepth.Seconds() }

func (b *Bucket) fill(now time.Time) {
	if elapsed := now.Sub(b.at); b.rate > 0 && elapsed > 0 {
		b.level = min(b.level+b.rate*elapsed.Seconds(), b.depth())
	}
	b.at = now
}
