package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"cargoship.dev/operator/lab"
)

// TestKill kills copies at random times and copies again until one is done. All must
// stand, no upload be left, and of a file sent in parts nothing be sent twice but what
// was under way when the copies were killed.
func TestKill(t *testing.T) {
	r := newRig(t, lab.Conditions{
		Bandwidth: &lab.Bandwidth{SharedMegabits: 800},
		// For the statistics alone: what is sent of the large file is counted by itself.
		Partitions: []lab.Partition{{Keys: "base/huge", RequestsPerSecond: 1e9, Burst: 1e9}},
	})
	const size = 11*partSize + 4321
	r.write(t, "huge", size)
	for i := range 10 {
		r.write(t, fmt.Sprintf("small/%d", i), 2*kibi)
	}
	random := rand.New(rand.NewPCG(chosen.seed, 1))
	for done := 0; done < chosen.kills; {
		done += r.killed(t, random, size)
		if t.Failed() {
			t.Fatalf("after %d kills with seed %d", done, chosen.seed)
		}
		if err := os.RemoveAll(r.server.Path(bucket, "base")); err != nil {
			t.Fatal(err)
		}
	}
}

// killed kills one, two or three copies, lets the next one end, and returns how many died.
func (r *rig) killed(t *testing.T, random *rand.Rand, size int64) (died int) {
	t.Helper()
	r.Reset()
	// allowed is one part for each request under way at a kill.
	var allowed int64
	for died < 1+random.IntN(3) && !r.stands("huge") {
		c := r.begin(t)
		time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
		if err := c.child.Stop(0); err != nil {
			t.Fatal(err)
		}
		if code, _ := c.child.ExitCode(); code == 0 {
			break // It was done before it was killed.
		}
		died++
		r.rest(t)
		allowed += r.huge().MostInFlight * partSize
	}
	counted.kills.Add(int64(died))
	// What stands already, another copy sends again as it is told to.
	resumes := died > 0 && !r.stands("huge")
	r.wantWhole(t, r.copy(t))
	if resumes {
		r.wantNothingTwice(t, size, allowed)
	}
	return max(died, 1)
}

// rest waits until nothing is under way for a copy that was killed. A server goes on with
// a completion whose client has died, and meanwhile shows neither upload nor object.
func (r *rig) rest(t *testing.T) {
	t.Helper()
	await(t, "requests of the killed copy to end", func() bool { return r.Stats().Total.InFlight == 0 })
	if r.Stats().Operations["CompleteMultipartUpload"] == 0 {
		return
	}
	time.Sleep(100 * time.Millisecond) // The server may not have begun with it.
	await(t, "the completion of huge", func() bool { return r.stands("huge") || len(r.openUploads(t)) > 0 })
}

func (r *rig) stands(name string) bool {
	_, err := os.Stat(r.server.Path(bucket, "base/"+name))
	return err == nil
}

// wantNothingTwice fails if a part that the server had accepted was sent again.
func (r *rig) wantNothingTwice(t *testing.T, size, allowed int64) {
	t.Helper()
	huge := r.huge()
	resent := huge.DataBytesIn - size
	counted.resent.Add(resent)
	counted.allowed.Add(allowed)
	// Below 0 when the server took parts whose answers nobody was there to hear.
	if twice := huge.AcceptedBytesIn - size; twice > 0 || resent > allowed {
		t.Errorf("%d bytes of huge were accepted twice; %d were sent again, of at most %d that were under way", twice, resent, allowed)
	}
}

// huge is what the lab has seen of the large file.
func (r *rig) huge() lab.PartitionStats {
	for _, p := range r.Stats().Partitions {
		if p.Name == "base/huge" {
			return p
		}
	}
	return lab.PartitionStats{}
}
