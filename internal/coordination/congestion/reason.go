package congestion

import "cargoship.dev/operator/internal/coordination/protocol"

// Reasons for what becomes of window and rates. Each names one branch of the law, and each
// branch has one. Those that come with a change of state are its cause.
const (
	// ReasonNoCompletions: no request ended, so nothing is known.
	ReasonNoCompletions protocol.Reason = "NoCompletions"
	// ReasonSettling: what came back was sent before the last cut, or in slow start.
	ReasonSettling protocol.Reason = "Settling"
	// ReasonAwaitingSuccess: nothing was accepted, for too short a time to be an outage.
	ReasonAwaitingSuccess protocol.Reason = "AwaitingSuccess"
	// ReasonNoSuccess: nothing has been accepted for so long that it is an outage.
	ReasonNoSuccess protocol.Reason = "NoSuccess"
	// ReasonThrottled: so many requests were throttled that it is cut.
	ReasonThrottled protocol.Reason = "Throttled"
	// ReasonClean: a round without congestion ended fast recovery or recovery.
	ReasonClean protocol.Reason = "Clean"
	// ReasonRegaining: it grows back to what was good before an outage.
	ReasonRegaining protocol.Reason = "Regaining"
	// ReasonRegained: it is what was good before the outage.
	ReasonRegained protocol.Reason = "Regained"
	// ReasonRateLimited: a rate is what limits. The window follows what is in flight; the
	// rate stays until a probe is due.
	ReasonRateLimited protocol.Reason = "RateLimited"
)

// Reasons for the window alone.
const (
	// ReasonSenderLimited: the workers had too little to send, so it stays.
	ReasonSenderLimited protocol.Reason = "SenderLimited"
	// ReasonWindowUnderused: something else than window, rates and senders limits.
	ReasonWindowUnderused protocol.Reason = "WindowUnderused"
	// ReasonAwaitingRecovery: little is in flight because of an outage or a cut of some
	// group, so it stays.
	ReasonAwaitingRecovery protocol.Reason = "AwaitingRecovery"
	// ReasonRatePending: groups without a rate were throttled, and are about to have one.
	ReasonRatePending protocol.Reason = "RatePending"
	// ReasonOutageOfAll: nothing gets through and nothing is throttled, so it is halved,
	// to be restored after the outage.
	ReasonOutageOfAll protocol.Reason = "OutageOfAll"
	// ReasonOutageOfGroup: nothing of a group gets through and nothing of it is throttled,
	// so it is halved: the requests may have timed one another out.
	ReasonOutageOfGroup protocol.Reason = "OutageOfGroup"
	// ReasonTimeouts: requests time one another out, so it is halved.
	ReasonTimeouts protocol.Reason = "Timeouts"
	// ReasonRestored: a rate has led back from an outage, so it is what it was.
	ReasonRestored protocol.Reason = "Restored"

	// ReasonSlowStart: it doubles.
	ReasonSlowStart protocol.Reason = "SlowStart"
	// ReasonBelowThreshold: it doubles though the path seems full, up to the configured
	// threshold.
	ReasonBelowThreshold protocol.Reason = "BelowThreshold"
	// ReasonPlateau: doubling has stopped to gain anything, so slow start ends.
	ReasonPlateau protocol.Reason = "Plateau"
	// ReasonQueueGrowth: requests wait, so slow start ends.
	ReasonQueueGrowth protocol.Reason = "QueueGrowth"

	// ReasonQueueBelowTarget: hardly a request waits, so it grows.
	ReasonQueueBelowTarget protocol.Reason = "QueueBelowTarget"
	// ReasonPathFaster: more was accepted, and sooner, so it doubles.
	ReasonPathFaster protocol.Reason = "PathFaster"
	// ReasonRampingUp: requests were started that cannot have ended, so it stays.
	ReasonRampingUp protocol.Reason = "RampingUp"
	// ReasonBaseUnconfirmed: the base latency may be that of a full path, and so it stays
	// for a round before it is drained.
	ReasonBaseUnconfirmed protocol.Reason = "BaseUnconfirmed"
	// ReasonQueueOnTarget: as many wait as should.
	ReasonQueueOnTarget protocol.Reason = "QueueOnTarget"
	// ReasonQueueAboveTarget: more wait than should, so it shrinks.
	ReasonQueueAboveTarget protocol.Reason = "QueueAboveTarget"
	// ReasonLongQueue: more than twice as many wait, so it is cut to what the path carries.
	ReasonLongQueue protocol.Reason = "LongQueue"
	// ReasonFalseQueue: it shrank for a queue and the latency did not, so the base latency
	// was wrong.
	ReasonFalseQueue protocol.Reason = "FalseQueue"

	// ReasonDrainLongQueue: a long queue stays though it shrinks, so it is drained to
	// measure the base latency.
	ReasonDrainLongQueue protocol.Reason = "DrainLongQueue"
	// ReasonDrainUnconfirmedBase: likewise, since the base latency may be that of a
	// full path.
	ReasonDrainUnconfirmedBase protocol.Reason = "DrainUnconfirmedBase"
	// ReasonDrainStaleBase: likewise, since the base latency was not seen for long.
	ReasonDrainStaleBase protocol.Reason = "DrainStaleBase"
	// ReasonDraining: some of what came back was sent before the drain.
	ReasonDraining protocol.Reason = "Draining"
	// ReasonDrainExtended: the path is still full, so it is drained further.
	ReasonDrainExtended protocol.Reason = "DrainExtended"
	// ReasonDrainEnded: the base latency was measured, so it returns.
	ReasonDrainEnded protocol.Reason = "DrainEnded"
)

// Reasons for a rate alone.
const (
	// ReasonRatesDisabled: advanced flow control is off, and the window answers.
	ReasonRatesDisabled protocol.Reason = "RatesDisabled"
	// ReasonUnpaced: nothing polices the group.
	ReasonUnpaced protocol.Reason = "Unpaced"
	// ReasonRateUnderused: something else limits, so it stays.
	ReasonRateUnderused protocol.Reason = "RateUnderused"
	// ReasonPathLimited: the path queues before it is reached, so it is lifted.
	ReasonPathLimited protocol.Reason = "PathLimited"
	// ReasonAtCapacity: a few requests are throttled at this rate, so it is trimmed to what
	// was accepted.
	ReasonAtCapacity protocol.Reason = "AtCapacity"

	// ReasonProbeStarted: a probe was due, so it is raised.
	ReasonProbeStarted protocol.Reason = "ProbeStarted"
	// ReasonProbeAdvanced: the raised rate was accepted, so it is raised further.
	ReasonProbeAdvanced protocol.Reason = "ProbeAdvanced"
	// ReasonProbePending: the senders have not followed yet.
	ReasonProbePending protocol.Reason = "ProbePending"
	// ReasonProbeEnded: the probe has met the capacity, so it keeps what was accepted.
	ReasonProbeEnded protocol.Reason = "ProbeEnded"
	// ReasonProbeThrottled: the probe went beyond the capacity, so it falls back.
	ReasonProbeThrottled protocol.Reason = "ProbeThrottled"

	// ReasonPersistentThrottling: a cut did not end the throttling, so it is halved.
	ReasonPersistentThrottling protocol.Reason = "PersistentThrottling"
	// ReasonOutagePersists: still nothing is accepted, so it is halved.
	ReasonOutagePersists protocol.Reason = "OutagePersists"
	// ReasonStillThrottled: in recovery something is accepted and too much throttled, so it
	// is halved.
	ReasonStillThrottled protocol.Reason = "StillThrottled"
	// ReasonTooFewRequests: on the way back too little was sent to tell.
	ReasonTooFewRequests protocol.Reason = "TooFewRequests"
)
