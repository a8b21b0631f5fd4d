package faults

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/lab"
)

// TestFaultsOnTheWay has each kind of fault strike a fifth of all requests.
func TestFaultsOnTheWay(t *testing.T) {
	for _, f := range []lab.Fault{
		{Kind: lab.ResetRequest, Share: 0.2},
		{Kind: lab.ResetAnswer, Share: 0.2},
		{Kind: lab.TruncateAnswer, Share: 0.2},
		{Kind: lab.InternalError, Share: 0.2},
		{Kind: lab.LateInternalError, Share: 0.2},
		{Kind: lab.SlowDown, Share: 0.2},
		{Kind: lab.DamageRequest, Share: 0.2, Operations: []string{"PutObject", "UploadPart"}},
		{Kind: lab.NoAnswer, Share: 0.2, Duration: 300 * time.Millisecond},
		{Kind: lab.SlowAnswer, Share: 0.2, Duration: 300 * time.Millisecond},
	} {
		t.Run(string(f.Kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Conditions{Faults: []lab.Fault{f}})
			r.mixture(t)
			r.wantWhole(t, r.copy(t))
			if struck := r.Stats().Faults[f.Kind]; struck == 0 {
				t.Errorf("no request was struck")
			}
		})
	}
}

// TestPackedAndBack packs, verifies and restores while requests fail, in ways
// of which some show in a checksum only.
func TestPackedAndBack(t *testing.T) {
	for _, f := range []lab.Fault{
		{Kind: lab.ResetAnswer, Share: 0.2},
		{Kind: lab.TruncateAnswer, Share: 0.2},
		{Kind: lab.InternalError, Share: 0.2},
		{Kind: lab.DamageRequest, Share: 0.5, Most: 3, Operations: []string{"PutObject", "UploadPart"}},
		{Kind: lab.DamageAnswer, Share: 0.5, Most: 3, Operations: []string{"GetObject"}},
	} {
		t.Run(string(f.Kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Conditions{Faults: []lab.Fault{f}})
			r.mixture(t)
			for i := range 20 {
				r.write(t, fmt.Sprintf("many/%d", i), 100*kibi)
			}
			restored := filepath.Join(t.TempDir(), "restored")
			for _, command := range [][]string{
				{"copy", r.source, destination, "--packing", "tar"},
				{"verify", destination, "--read-back"},
				{"restore", destination, restored},
			} {
				if o := r.start(t, command...).end(t); o.code != 0 || o.Failed != 0 {
					t.Fatalf("%s: exit code %d, %d failed, want 0: %s", command[0], o.code, o.Failed, o.stderr)
				}
			}
			wantSameTree(t, r.source, restored)
			r.wantNoUploads(t)
			if struck := r.Stats().Faults[f.Kind]; struck == 0 {
				t.Errorf("no request was struck")
			}
		})
	}
}

// TestEveryOperationMayFailOnce has the first request of each kind fail in the ways after
// which the client cannot know whether the server did its work.
func TestEveryOperationMayFailOnce(t *testing.T) {
	kinds := []lab.FaultKind{lab.ResetAnswer}
	if chosen.full {
		kinds = append(kinds, lab.LateInternalError, lab.TruncateAnswer, lab.InternalError)
	}
	for _, operation := range []string{"HeadBucket", "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"} {
		for _, kind := range kinds {
			t.Run(operation+"/"+string(kind), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, lab.Conditions{Faults: []lab.Fault{
					{Kind: kind, Share: 1, Most: 2, Operations: []string{operation}},
				}})
				r.mixture(t)
				r.wantWhole(t, r.copy(t))
				// A copy does not wait for what looks the bucket up again.
				if struck := r.Stats().Faults[kind]; struck != 2 && (operation != "HeadBucket" || struck == 0) {
					t.Errorf("%d requests were struck, want 2", struck)
				}
			})
		}
	}
}

// TestTimeOut has the server keep silent for longer than the client waits.
func TestTimeOut(t *testing.T) {
	if !chosen.full {
		t.Log("a time-out takes a minute: left to -full")
		return
	}
	r := newRig(t, lab.Conditions{Faults: []lab.Fault{
		{Kind: lab.NoAnswer, Share: 1, Most: 3, Duration: 10 * time.Minute, Operations: []string{"PutObject", "UploadPart"}},
	}})
	r.mixture(t)
	r.wantWhole(t, r.copy(t))
}

func TestBlackouts(t *testing.T) {
	for _, kind := range []lab.Blackout{lab.Silent, lab.Reset} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			slow := &lab.Bandwidth{SharedMegabits: 400}
			r := newRig(t, lab.Conditions{Bandwidth: slow})
			r.mixture(t)
			c := r.begin(t)
			await(t, "the copy to be under way", func() bool { return r.sent() > partSize })
			r.Set(lab.Conditions{Bandwidth: slow, Blackout: kind})
			time.Sleep(2 * time.Second)
			r.Set(lab.Conditions{})
			r.wantWhole(t, c.end(t))
		})
	}
}

// TestServerCrash kills the server in the midst of parts and starts it again.
func TestServerCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Conditions{Bandwidth: &lab.Bandwidth{SharedMegabits: 400}})
	r.mixture(t)
	c := r.begin(t)
	await(t, "the copy to be under way", func() bool { return r.sent() > partSize })
	r.server.Stop()
	time.Sleep(time.Second)
	r.server.Restart(t)
	r.wantWhole(t, c.end(t))
}

// TestPolicer has a policer that serves less than the client would like to send.
func TestPolicer(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Conditions{Partitions: []lab.Partition{{RequestsPerSecond: 100, Burst: 10}}})
	for _, name := range strings.Split("abcdefgh", "") {
		for i := range 5 {
			r.write(t, fmt.Sprintf("%s/%d", name, i), 100)
		}
	}
	r.write(t, "big", 3*partSize)
	r.wantWhole(t, r.copy(t))
	if s := r.Stats().Total; s.Throttled == 0 {
		t.Errorf("of %d requests none was throttled", s.Requests)
	}
}
