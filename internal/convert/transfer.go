package convert

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/endpoint"
	"cargoship.dev/operator/internal/workload"
)

// Domain names a bucket of a server, which is controlled by itself where no policy says otherwise.
func Domain(l v1alpha1.Location) string { return endpoint.Domain(l.Endpoint, l.Region, l.Bucket) }

const (
	// readDomain marks the domain of what reads: S3 limits reads and writes by rates of their
	// own, and they take different ways through the network, so each has its own controller. No
	// name of a bucket holds a '#', nor does a quota key.
	readDomain = "#read"
	// quotaDomain begins the name of the domain of a quota key. Every name of a destination
	// holds a '/', and no quota key does.
	quotaDomain = "quota:"
)

// OwnDomain names the bucket that a workload writes to or reads from, in that direction: its domain
// where no policy gives the bucket a quota key.
func OwnDomain(w *workload.Workload) string { return directed(Domain(w.Location), w) }

// directed names the domain of one direction.
func directed(destination string, w *workload.Workload) string {
	if w.Restore != nil {
		return destination + readDomain
	}
	return destination
}

// Destination is what a domain reads from or writes to: a bucket of a server, or all destinations
// with one quota key.
func Destination(domain string) string { return strings.TrimSuffix(domain, readDomain) }

// ProfileName names the DestinationProfile of a domain: a readable beginning and a hash of
// all of it.
func ProfileName(domain string) string {
	readable := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(domain)), "-")
	hash := sha256.Sum256([]byte(domain))
	return fmt.Sprintf("%s-%x", strings.Trim(readable[:min(len(readable), maxReadable)], "-"), hash[:8])
}

// maxReadable bounds the readable part of a profile's name, in characters.
const maxReadable = 128

// Transfer writes a transfer's claim on its domain, with what its status says
// has ended already.
func Transfer(at *workload.Workload) (protocol.Transfer, error) {
	t := protocol.Transfer{
		ID:        protocol.TransferID(at.UID),
		Tenant:    at.Namespace,
		Weight:    int(max(1, at.Spec.Weight)),
		Config:    Config(at.Spec),
		Workers:   int(at.Spec.Workers.Count),
		Suspended: ptr.Deref(at.Spec.Suspend, false),
		Recorded:  map[string]protocol.Recorded{},
	}
	for _, p := range at.Status.Prefixes {
		r, err := recorded(p)
		if err != nil {
			return t, fmt.Errorf("read status.prefixes[%s] of %s: %w", p.Name, at, err)
		}
		t.Recorded[p.Name] = r
	}
	return t, nil
}

// Validate returns why the core would reject a transfer.
func Validate(at *workload.Workload) error {
	t, err := Transfer(at)
	if err != nil {
		return err
	}
	return t.Validate()
}

// recorded reads what PrefixStatuses has written of a prefix.
func recorded(p v1alpha1.PrefixStatus) (protocol.Recorded, error) {
	finished, err := protocol.ParseRecord(ptr.Deref(p.FinishedArchives, ""))
	planned := TallyFrom(p.Planned)
	return protocol.Recorded{
		Planned: protocol.Planned{
			Archives: ptr.Deref(p.Archives, 0), Files: planned.Files, Bytes: planned.Bytes,
		},
		Finished: finished, Exhausted: ptr.Deref(p.ExhaustedArchives, 0),
		Done: TallyFrom(p.Done), Failed: TallyFrom(p.Failed), Skipped: TallyFrom(p.Skipped),
	}, err
}

// Config writes the coordination parameters of a transfer. Fields that a
// defaulting API server would have filled keep the core's defaults.
func Config(spec v1alpha1.Fleet) protocol.Config {
	c, in := protocol.DefaultConfig(), spec.Coordination
	set(&c.PipelineDepth, int(in.PipelineDepth))
	set(&c.GlobalCongestionWindow, int(in.GlobalCongestionWindow))
	set(&c.SlowStartThreshold, int(in.SlowStartThreshold))
	set(&c.Strategy, protocol.Strategy(in.Strategy))
	set(&c.BandwidthStrategy, protocol.BandwidthStrategy(in.BandwidthStrategy))
	set(&c.MaxActivePrefixes, int(in.MaxActivePrefixes))
	set(&c.UpdateInterval, in.UpdateInterval.Duration)
	set(&c.LeaseDuration, in.LeaseDuration.Duration)
	set(&c.LearningRate, float64(in.Adaptive.LearningRatePercent)/100)
	set(&c.BandwidthProbingRate, float64(in.Adaptive.BandwidthProbingRatePercent)/100)
	set(&c.RecoveryAggressiveness, float64(in.Adaptive.RecoveryAggressivenessPercent)/100)
	if v := in.Adaptive.CongestionSensitivityPercent; v != nil {
		c.CongestionSensitivity = float64(*v) / 100
	}
	c.AdvancedFlowControl = in.AdvancedFlowControl != "Disabled"
	c.Uncoordinated = in.Mode == v1alpha1.ModeUncoordinated
	set(&c.MaxPrefixes, int(in.Uncoordinated.MaxPrefixes))
	set(&c.MaxConcurrentUploads, int(in.Uncoordinated.MaxConcurrentUploads))
	set(&c.MaxAttempts, int(spec.FailurePolicy.AttemptsPerArchive))
	return c
}

// set replaces a default by a value that was given.
func set[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}
