package congestion

import "cargoship.dev/operator/internal/coordination/protocol"

// Reasons for decisions on the window and on rates. Each names one branch of the law, and
// every branch has one. With a change of state the reason is its cause.
const (
	// ReasonNoCompletions: no request ended, so nothing is known.
	ReasonNoCompletions protocol.Reason = "NoCompletions"
	// ReasonSettling: nothing came back yet of what the last decision allows, or after a cut no
	// success of it.
	ReasonSettling protocol.Reason = "Settling"
	// ReasonAwaitingSuccess: nothing was accepted, but not for long enough to be an outage.
	ReasonAwaitingSuccess protocol.Reason = "AwaitingSuccess"
	// ReasonNoSuccess: nothing has been accepted for so long that it is an outage.
	ReasonNoSuccess protocol.Reason = "NoSuccess"
	// ReasonThrottled: too many requests were throttled: cut.
	ReasonThrottled protocol.Reason = "Throttled"
	// ReasonClean: a round without congestion ended fast recovery or recovery.
	ReasonClean protocol.Reason = "Clean"
	// ReasonRegaining: after an outage, growing back to what was good before.
	ReasonRegaining protocol.Reason = "Regaining"
	// ReasonRegained: back at what was good before the outage.
	ReasonRegained protocol.Reason = "Regained"
	// ReasonRateLimited: a rate is the limit. The window follows what is in flight; the rate
	// stays until a probe is due.
	ReasonRateLimited protocol.Reason = "RateLimited"
)

// Reasons for the window only.
const (
	// ReasonSenderLimited: the workers had too little to send: unchanged.
	ReasonSenderLimited protocol.Reason = "SenderLimited"
	// ReasonPolicyLimited: a policy allows no more: unchanged.
	ReasonPolicyLimited protocol.Reason = "PolicyLimited"
	// ReasonWindowUnderused: neither window, rates nor senders were the limit: unchanged.
	ReasonWindowUnderused protocol.Reason = "WindowUnderused"
	// ReasonAwaitingRecovery: little is in flight because of an outage or a cut of some group:
	// unchanged.
	ReasonAwaitingRecovery protocol.Reason = "AwaitingRecovery"
	// ReasonRatePending: groups without a rate were throttled and are about to get one:
	// bounded by what was accepted.
	ReasonRatePending protocol.Reason = "RatePending"
	// ReasonOutageOfAll: nothing gets through although nothing is throttled: halved, to be
	// restored after the outage.
	ReasonOutageOfAll protocol.Reason = "OutageOfAll"
	// ReasonOutageOfGroup: nothing of a group gets through although nothing of it is
	// throttled, so its requests may time one another out: halved.
	ReasonOutageOfGroup protocol.Reason = "OutageOfGroup"
	// ReasonTimeouts: requests time one another out: halved.
	ReasonTimeouts protocol.Reason = "Timeouts"
	// ReasonRecentTimeouts: within the last two minutes requests timed out at a larger window, so thin
	// is the path: not grown beyond what they were halved to.
	ReasonRecentTimeouts protocol.Reason = "RecentTimeouts"
	// ReasonRestored: a rate is back after an outage: restored to its size before.
	ReasonRestored protocol.Reason = "Restored"

	// ReasonSlowStart: doubled.
	ReasonSlowStart protocol.Reason = "SlowStart"
	// ReasonBelowThreshold: doubled although the path seems full, up to the configured
	// threshold.
	ReasonBelowThreshold protocol.Reason = "BelowThreshold"
	// ReasonPlateau: doubling gained nothing in three rounds: slow start ends.
	ReasonPlateau protocol.Reason = "Plateau"
	// ReasonQueueGrowth: requests queue: slow start ends.
	ReasonQueueGrowth protocol.Reason = "QueueGrowth"

	// ReasonQueueBelowTarget: hardly any request queues: grown.
	ReasonQueueBelowTarget protocol.Reason = "QueueBelowTarget"
	// ReasonRampingUp: many requests were started and few have ended, so the latency does not
	// count yet: unchanged.
	ReasonRampingUp protocol.Reason = "RampingUp"
	// ReasonBaseUnconfirmed: the base latency may be that of a full path: unchanged for a
	// round before a drain.
	ReasonBaseUnconfirmed protocol.Reason = "BaseUnconfirmed"
	// ReasonQueueOnTarget: the queue is as long as it should be: unchanged.
	ReasonQueueOnTarget protocol.Reason = "QueueOnTarget"
	// ReasonQueueAboveTarget: the queue is longer than it should be: shrunk.
	ReasonQueueAboveTarget protocol.Reason = "QueueAboveTarget"
	// ReasonLongQueue: the queue is more than twice as long as it should be: cut to what the
	// path carries.
	ReasonLongQueue protocol.Reason = "LongQueue"

	// ReasonFalseQueue: the window shrank and the latency did not, so the base latency was
	// wrong: unchanged.
	ReasonFalseQueue protocol.Reason = "FalseQueue"

	// ReasonDrainLongQueue: a long queue persists although the window shrinks: drained to
	// measure the base latency.
	ReasonDrainLongQueue protocol.Reason = "DrainLongQueue"
	// ReasonDrainUnconfirmedBase: the base latency may be that of a full path: drained to
	// measure it.
	ReasonDrainUnconfirmedBase protocol.Reason = "DrainUnconfirmedBase"
	// ReasonDrainStaleBase: the base latency was not confirmed for long: drained to measure
	// it.
	ReasonDrainStaleBase protocol.Reason = "DrainStaleBase"
	// ReasonDraining: some responses are still to requests sent before the drain, or in slow
	// start: unchanged.
	ReasonDraining protocol.Reason = "Draining"
	// ReasonDrainExtended: the path is still full: drained further.
	ReasonDrainExtended protocol.Reason = "DrainExtended"
	// ReasonDrainEnded: the base latency was measured: restored.
	ReasonDrainEnded protocol.Reason = "DrainEnded"
)

// Reasons for a rate only.
const (
	// ReasonRatesDisabled: advanced flow control is disabled; the window answers throttling.
	ReasonRatesDisabled protocol.Reason = "RatesDisabled"
	// ReasonUnpaced: nothing polices the group: no rate.
	ReasonUnpaced protocol.Reason = "Unpaced"
	// ReasonRateUnderused: something else is the limit: unchanged.
	ReasonRateUnderused protocol.Reason = "RateUnderused"
	// ReasonPathLimited: the path queues before the rate is reached: lifted.
	ReasonPathLimited protocol.Reason = "PathLimited"
	// ReasonAtCapacity: a few requests are throttled at this rate: trimmed to what was
	// accepted.
	ReasonAtCapacity protocol.Reason = "AtCapacity"

	// ReasonProbeStarted: a probe was due: raised.
	ReasonProbeStarted protocol.Reason = "ProbeStarted"
	// ReasonProbeAdvanced: the raised rate was accepted: raised further.
	ReasonProbeAdvanced protocol.Reason = "ProbeAdvanced"
	// ReasonProbePending: the senders have not followed the last step yet: unchanged.
	ReasonProbePending protocol.Reason = "ProbePending"
	// ReasonProbeEnded: the probe has reached the capacity: what was accepted is kept.
	ReasonProbeEnded protocol.Reason = "ProbeEnded"
	// ReasonProbeThrottled: the probe exceeded the capacity: fallen back to what was accepted.
	ReasonProbeThrottled protocol.Reason = "ProbeThrottled"

	// ReasonPersistentThrottling: throttling persists after a cut: recovery begins at half of
	// what was accepted.
	ReasonPersistentThrottling protocol.Reason = "PersistentThrottling"
	// ReasonOutagePersists: still nothing is accepted: halved.
	ReasonOutagePersists protocol.Reason = "OutagePersists"
	// ReasonStillThrottled: in recovery some requests are accepted, but too many throttled:
	// halved.
	ReasonStillThrottled protocol.Reason = "StillThrottled"
)
