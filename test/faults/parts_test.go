package faults

import (
	"testing"
	"time"

	"cargoship.dev/operator/lab"
)

// TestPartsAreDoneInOrder kills a copy of one large file early: most of what it has sent
// is in parts that are done, the first of the file, for the next copy to go on with.
func TestPartsAreDoneInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Conditions{Bandwidth: &lab.Bandwidth{SharedMegabits: 200}})
	r.write(t, "huge", 38*partSize)
	c := r.begin(t)
	await(t, "a quarter of the file to be sent", func() bool { return r.sent() > 10*partSize })
	// What is in buffers on the way would arrive all the same.
	r.Set(lab.Conditions{Blackout: lab.Reset})
	if err := c.child.Stop(0); err != nil {
		t.Fatal(err)
	}
	sent := r.sent() / partSize
	if most := r.Stats().Total.MostInFlight; most > 12 {
		t.Errorf("%d parts were in flight, on a path that a few fill", most)
	}
	await(t, "requests of the killed copy to end", func() bool { return r.Stats().Total.InFlight == 0 })
	r.Set(lab.Conditions{})
	client := r.client(t)
	listed, err := client.ListMultipartUploads(t.Context(), bucket, "base/huge", "", "", "", 10)
	if err != nil || len(listed.Uploads) != 1 {
		t.Fatalf("uploads %v, %v, want one", listed.Uploads, err)
	}
	parts, err := client.ListObjectParts(t.Context(), bucket, "base/huge", listed.Uploads[0].UploadID, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for _, p := range parts.ObjectParts {
		last = max(last, p.PartNumber)
	}
	done := len(parts.ObjectParts)
	if int64(done) < sent/2 || last > done+4 {
		t.Errorf("%d parts are done, the last of them is number %d, of %d that were sent", done, last, sent)
	}
	begun := time.Now()
	r.wantWhole(t, r.copy(t))
	t.Logf("%d parts were done, the last of them number %d; the rest took %v", done, last, time.Since(begun))
}
