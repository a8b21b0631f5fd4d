//go:build !race

package sim

import (
	"testing"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// What these seeds found once, when there were no outages of the control plane yet: an archive recalled for ever from a worker that had been
// restarted; thin links on which requests only timed out; a record without the window
// of a grant whose withdrawal was lost; a floor that moved from lease to lease; archives
// given to others by a new leader before their workers could have reported to it; a
// window of less than one request after an outage; prefixes that were throttled together
// for ever; requests that mostly timed out; a report of the process before that came
// late and was taken for the next one's; a liar's word for what a thin path gives, by
// which an outage never ended; another's, by which a rate grew beyond any integer.
func TestRandomScenariosThatFailed(t *testing.T) {
	for _, seed := range []uint64{80, 131, 373, 2203, 3835, 5890, 6460, 106, 244, 2745, 3384, 1457, 9490} {
		if violation := fuzzOne(seed, func(*Scenario, *protocol.Config) {}); violation != "" {
			t.Errorf("seed %d: %s", seed, violation)
		}
	}
	// With outages: liars had left a rate of two requests in a quarter of an hour to go back to;
	// three requests at once timed one another out, one or two did not, and the window grew back
	// to three for ever; what exceeded the window was granted anew; an archive that had ended, and whose
	// end did not count, was granted to the same worker for ever; half a percent of what a liar had called
	// good filled a thin link with requests that all timed out, and once more while their senders, which waited
	// to try again, seemed to have nothing to send; a drain that waited for its workers longer than the bound
	// of before it was remembered here.
	for _, seed := range []uint64{40978, 2745, 8835, 21860, 24749, 38544, 2907, 90140} {
		if violation := FuzzOne(seed); violation != "" {
			t.Errorf("seed %d: %s", seed, violation)
		}
	}
}
