package coordination

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// What is recorded of a transfer stays within its bound, though a thousand workers end its
// ten million archives in any order, and everybody goes on getting some.
func TestTheRecordOfAThousandWorkersIsBounded(t *testing.T) {
	orders := map[string]func(random *rand.Rand, held []protocol.Assignment) []protocol.Assignment{
		"in any order": func(random *rand.Rand, held []protocol.Assignment) []protocol.Assignment {
			random.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
			return held[:(len(held)+1)/2]
		},
		"every other one": func(_ *rand.Rand, held []protocol.Assignment) []protocol.Assignment {
			return slices.DeleteFunc(held, func(a protocol.Assignment) bool { return a.Archive.Number%2 == 0 })
		},
		"two of four": func(_ *rand.Rand, held []protocol.Assignment) []protocol.Assignment {
			return slices.DeleteFunc(held, func(a protocol.Assignment) bool { return a.Archive.Number%4 < 2 })
		},
		"the last first": func(_ *rand.Rand, held []protocol.Assignment) []protocol.Assignment {
			return held[max(0, len(held)-1):]
		},
	}
	// The bound of a thousand workers, half as much again in the worst of all orders, and the mark.
	const mostRecorded, worstRecorded = 6<<10 + 8, 9<<10 + 8
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			f := ranged(t, protocol.DefaultConfig(), protocol.Planned{Archives: 10_000_000, Files: 10_000_000_000, Bytes: 1 << 50})
			ids := make([]protocol.WorkerID, 1000)
			for i := range ids {
				ids[i] = protocol.WorkerID(fmt.Sprintf("w%03d", i))
			}
			f.start("t", ids...)
			random := newRand(3)
			f.settle(2000)
			for round := range 30 { // in which all become active
				sent := 0
				for _, id := range ids {
					var finished []protocol.Outcome
					for _, a := range order(random, assignments(f.grants[id])) {
						finished = append(finished, protocol.Outcome{Archive: a.Archive, Done: protocol.Tally{Files: 1, Bytes: 1}})
					}
					sent += len(finished)
					f.report(id, finished...)
				}
				f.tick()
				most := mostRecorded
				if name == "two of four" {
					most = worstRecorded
				}
				if length := len(f.prefix("a").Finished.Packed()); length > most {
					t.Fatalf("round %d: the finished archives take %d bytes, want %d at most", round, length, most)
				}
				if name == "in any order" && round > 25 && sent < len(ids)/2 {
					t.Errorf("round %d: %d archives were sent by %d workers", round, sent, len(ids))
				}
			}
			t.Logf("%d archives finished, recorded in %d bytes", f.prefix("a").Finished.Count(), len(f.prefix("a").Finished.Packed()))
		})
	}
}

// assignments are all archives that a grant names, as a copy.
func assignments(g protocol.Grant) (all []protocol.Assignment) {
	for _, p := range g.Prefixes {
		all = append(all, p.Assignments...)
	}
	return all
}
