package coordination

import "time"

// TransferID names a transfer within a domain.
type TransferID string

// WorkerID names a worker within a domain.
type WorkerID string

// ArchiveID names an archive: its place in the inventory of one prefix of one
// transfer. Numbers count from 0.
type ArchiveID struct {
	Transfer TransferID
	Prefix   string
	Number   int64
}

// Strategy chooses how the window of a group is divided over its prefixes.
type Strategy string

const (
	// TCPLike gives every prefix a window of its own, grown and cut like a TCP
	// flow's, and scales them so that their sum is the domain's window. It is right
	// where prefixes are policed apart, and change so fast that halving at a refusal
	// beats finding out their rates; it favours prefixes that are seldom refused.
	TCPLike Strategy = "TCPLike"
	// FairShare fills the demand of the prefixes evenly, by weight. It is right where
	// each prefix should get on alike, whatever it costs.
	FairShare Strategy = "FairShare"
	// Adaptive shares as FairShare does until prefixes differ clearly in what a
	// further slot adds to their goodput, and then by that, never below a quarter of
	// the fair share. It is right where it is not known beforehand whether some
	// prefixes have a queue of their own, which more slots only lengthen.
	Adaptive Strategy = "Adaptive"
)

// BandwidthStrategy chooses how the paced rate of a group is divided.
type BandwidthStrategy string

const (
	// BandwidthFairShare divides the rate by weight.
	BandwidthFairShare BandwidthStrategy = "FairShare"
	// BandwidthProportional divides the rate in proportion to the windows.
	BandwidthProportional BandwidthStrategy = "Proportional"
)

// State is a state of the congestion controller of a group.
type State string

const (
	SlowStart           State = "SlowStart"
	CongestionAvoidance State = "CongestionAvoidance"
	FastRecovery        State = "FastRecovery"
	Recovery            State = "Recovery"
)

// Config holds the parameters of a transfer's coordination. The zero value is
// not valid; DefaultConfig gives the defaults.
type Config struct {
	// PipelineDepth is how many archives are assigned ahead to a worker for each prefix
	// that it serves, divided over these by the windows that it has on them, and more
	// where it ends them faster than they are assigned.
	PipelineDepth int
	// GlobalCongestionWindow is the window, in requests in flight over all
	// workers, at which a group begins.
	GlobalCongestionWindow int
	// SlowStartThreshold is the window below which slow start goes on doubling
	// whatever its growth: so few requests measure too noisily to stop at.
	SlowStartThreshold int
	// Strategy divides windows, BandwidthStrategy divides rates.
	Strategy          Strategy
	BandwidthStrategy BandwidthStrategy
	// MaxActivePrefixes is the most prefixes of the transfer that hold a window at once.
	MaxActivePrefixes int
	// UpdateInterval is the period of Tick, and the shortest report interval.
	UpdateInterval time.Duration
	// LeaseDuration is how long a grant holds.
	LeaseDuration time.Duration
	// AdvancedFlowControl adds the paced rate and probing to the window.
	AdvancedFlowControl bool
	// LearningRate in (0, 1] weighs a new measurement against the learnt trend.
	LearningRate float64
	// BandwidthProbingRate in (0, 1] is the first step by which a probe raises the rate.
	BandwidthProbingRate float64
	// CongestionSensitivity in [0, 1): throttled shares above
	// 0.1 (1 - CongestionSensitivity) count as congestion.
	CongestionSensitivity float64
	// RecoveryAggressiveness in [0.1, 10] scales growth per clean round below the threshold.
	RecoveryAggressiveness float64
	// Uncoordinated fixes the windows instead of controlling them.
	Uncoordinated bool
	// MaxPrefixes and MaxConcurrentUploads are, when Uncoordinated, how many
	// prefixes each worker sends to and its window on each.
	MaxPrefixes          int
	MaxConcurrentUploads int
	// MaxAttempts is how many workers may try an archive before it counts as failed.
	MaxAttempts int
}

// Transfer is the claim of one transfer on a domain.
type Transfer struct {
	ID TransferID
	// Tenant is whose it is: the domain is divided over tenants before it is divided
	// over the transfers of each, and what the workers of one report counts for no more
	// than its share.
	Tenant string
	// Weight is the transfer's share relative to others of the tenant, and the largest of
	// its transfers that hold leases the tenant's relative to others; at least 1.
	Weight int
	Config Config
	// Suspended transfers hold no windows and are assigned nothing.
	Suspended bool
	// Recorded is what an earlier leader has recorded, by prefix. It is taken in when
	// the transfer is put for the first time; later the coordinator knows better.
	Recorded map[string]Recorded
}

// Recorded is what is recorded of a prefix, for the next leader to count on from.
type Recorded struct {
	Planned Planned
	// Finished archives are not assigned or counted again: Done, Failed and Skipped sum
	// what became of their files, but for those of the Exhausted ones.
	Finished              Ranges
	Done, Failed, Skipped Tally
	// Exhausted counts the finished archives that used up their attempts.
	Exhausted int64
}

// Planned is what the inventory of a prefix lists: archives, numbered from 0, and
// the files in them with their bytes.
type Planned struct{ Archives, Files, Bytes int64 }

// PlannedPrefix is what the inventory of one prefix lists.
type PlannedPrefix struct {
	Prefix string
	Planned
}

// PlanProgress is how far a worker has come with the planning duty.
type PlanProgress struct {
	// Complete: the whole source is listed. The plan never changes afterwards.
	Complete bool
	// Prefixes are those of which something is listed. One that is not named is as it was.
	Prefixes []PlannedPrefix
}

// Upload is an archive to be sent.
type Upload struct {
	Archive ArchiveID
	// Files in the archive, and their bytes.
	Files, Bytes int64
}

// PrefixCounters are a worker's cumulative counters of one prefix, and the
// latency of its last interval.
type PrefixCounters struct {
	Prefix    string
	Started   int64
	Accepted  int64
	Throttled int64
	Failed    int64
	Bytes     int64
	Busy      time.Duration
	// MaxInFlight covers the interval since the report before, AttemptP50, ServiceP50
	// and ServiceP99 also what was in reports that may not have been read; zero means
	// that nothing was measured.
	MaxInFlight int
	AttemptP50  time.Duration
	ServiceP50  time.Duration
	ServiceP99  time.Duration
	// SenderLimited: the worker had too little to send to fill its window or rate.
	SenderLimited bool
}

// Outcome tells how an assigned archive ended.
type Outcome struct {
	Archive ArchiveID
	// Done, Failed and Skipped count what became of the archive's files.
	Done, Failed, Skipped Tally
	// Retry: the archive is not finished and another attempt may succeed.
	Retry  bool
	Reason string
	// Message is for people.
	Message string
}

// Tally counts files and their bytes.
type Tally struct{ Files, Bytes int64 }

// Plus gives the sum; one that no int64 holds is the largest that does.
func (t Tally) Plus(u Tally) Tally {
	return Tally{saturate(t.Files, u.Files), saturate(t.Bytes, u.Bytes)}
}

// Report is what one worker tells of itself.
type Report struct {
	Worker   WorkerID
	Transfer TransferID
	// Instance identifies the worker process; a new one starts its counters at zero.
	Instance string
	// Sequence rises with every report of a worker, from 1; a new process goes on
	// above the last report of the one before.
	Sequence int64
	// Uptime is how long the process had run when it sent the report, by its own
	// clock: rates are over the time between two reports, not between their being
	// heard. 0 when unknown.
	Uptime time.Duration
	// Epoch and GrantSequence name the grant the worker acts on.
	Epoch, GrantSequence int64
	// MaxInFlight bounds what the worker can use, from its memory.
	MaxInFlight int
	Prefixes    []PrefixCounters
	// Plan is how far the planning duty has come; nil from a worker that does not hold it.
	Plan *PlanProgress
	// Finished are the archives that ended since the acknowledged report.
	Finished []Outcome
	// Blocked: the worker can do nothing until somebody mends a thing outside.
	Blocked bool
	// Drained: nothing is in flight and nothing will be started.
	Drained bool
}

// Assignment hands an archive to a worker.
type Assignment struct {
	Archive ArchiveID
	// Attempt counts the workers that were given the archive, from 1.
	Attempt int
}

// PrefixGrant is what a worker may do on one prefix.
type PrefixGrant struct {
	Prefix string
	// Window in requests in flight.
	Window int
	// Rate in requests started per second; 0 means that only the window limits.
	Rate        float64
	Assignments []Assignment
}

// Grant is what a worker may do. A worker acts on one grant at a time: it starts
// no request while it has as many in flight as all windows of the newest one
// sum to, those begun under an earlier grant included.
type Grant struct {
	Worker   WorkerID
	Transfer TransferID
	// Epoch and Sequence order grants; lower ones are ignored.
	Epoch, Sequence int64
	// AcknowledgedReport is the last report taken in. The lease runs for
	// Duration from the moment the worker sent it.
	AcknowledgedReport int64
	// Instance is the worker process that sent that report. Any other holds no
	// lease by this grant: sequences of two processes do not compare.
	Instance       string
	Duration       time.Duration
	ReportInterval time.Duration
	// Drain: stop sending and exit.
	Drain bool
	// Plan: this worker walks the source and writes the inventory.
	Plan     bool
	Prefixes []PrefixGrant
}

// Plan is the result of a tick: the grants as they should stand, all of them,
// and what the controller changed its mind about.
type Plan struct {
	Grants      []Grant
	Transitions []Transition
}

// Transition is a change of state of a group, with its cause.
type Transition struct {
	Group    string
	From, To State
	// Cause is a machine-readable word, such as Throttled, QueueGrowth, Plateau or Clean.
	Cause string
}

// Progress is how far a transfer is, by prefix in the order of their names.
type Progress struct {
	// Planned: the whole source is listed, so the plan is final.
	Planned  bool
	Prefixes []PrefixProgress
}

// PrefixProgress is how far one prefix is.
type PrefixProgress struct {
	Prefix string
	// Group is the shared-fate group of the prefix, State its controller's.
	Group   string
	State   State
	Planned Planned
	// Queued, Assigned and Finished count or hold the known archives; each is in
	// one of the three.
	Queued, Assigned int64
	Finished         Ranges
	// Done, Failed and Skipped sum what became of the files of finished archives. What
	// the Exhausted ones held, which no worker reported, is among Failed as soon as it
	// can be told: once the plan is final and nothing else of the prefix is left.
	Done, Failed, Skipped Tally
	// Exhausted counts the finished archives that used up their attempts.
	Exhausted int64
	// FailedArchives counts finished archives with failed files; Failures holds
	// the first of them.
	FailedArchives int64
	Failures       []FailedArchive
	// Throughput in bytes per second and ThrottledShare from 0 to 1 are sums and
	// means over the last report of every live worker.
	Throughput     float64
	ThrottledShare float64
	// AttemptP50 and ServiceP50 are means of the workers' medians, weighted by
	// accepted requests; ServiceP99 is the largest of the workers'. Zero means
	// that nothing was measured.
	AttemptP50, ServiceP50, ServiceP99 time.Duration
	// Window in requests in flight and Rate in requests per second are the sums
	// of what is granted; Rate 0 means that only the window limits.
	Window int
	Rate   float64
}

// FailedArchive tells why an archive has failed files.
type FailedArchive struct {
	Number  int64
	Reason  string
	Message string
}

// Snapshot is what a coordinator leaves to the one that leads after it.
type Snapshot struct {
	// Epoch of the leader: in Start the one that begins, in Snapshot the one that ran.
	Epoch int64 `json:"epoch"`
	// LeaseLifetime is how long the longest grant may still hold, clock drift included.
	LeaseLifetime time.Duration `json:"leaseLifetime"`
	// Path is absent, and Groups with it, until something was granted.
	Path   *PathSnapshot   `json:"path,omitempty"`
	Groups []GroupSnapshot `json:"groups,omitempty"`
}

// PathSnapshot is the state of the window that all groups share.
type PathSnapshot struct {
	// Window in requests in flight; GoodWindow held in the last clean and loaded round.
	Window     int            `json:"window"`
	State      State          `json:"state"`
	Threshold  int            `json:"threshold"`
	GoodWindow int            `json:"goodWindow,omitempty"`
	Profile    NetworkProfile `json:"profile"`
}

// GroupSnapshot is the state of the rate of one group.
type GroupSnapshot struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Rate in requests per second, 0 for none; GoodRate was accepted in the last
	// clean and loaded round.
	Rate     float64 `json:"rate,omitempty"`
	GoodRate float64 `json:"goodRate,omitempty"`
	// Members are the prefixes of the group, but for the first group, which has all
	// that are in no other.
	Members []Member `json:"members,omitempty"`
}

// Member names a prefix of a transfer.
type Member struct {
	Transfer TransferID `json:"transfer"`
	Prefix   string     `json:"prefix"`
}
