package v1alpha1

// Labels, annotations, finalizers and field owners that the manager writes.
const (
	// LabelTransfer names the ArchiveTransfer that a Job, pod or lease belongs to.
	LabelTransfer = "transfer.cargoship.dev/name"
	// LabelRestore names the ArchiveRestore that a Job, pod or lease belongs to.
	LabelRestore = "transfer.cargoship.dev/restore"
	// LabelTransferUID is the UID of that ArchiveTransfer or ArchiveRestore.
	LabelTransferUID = "transfer.cargoship.dev/uid"
	// LabelRole distinguishes worker pods from the finish pod.
	LabelRole = "transfer.cargoship.dev/role"

	// RoleWorker is the LabelRole of the pods that move data.
	RoleWorker = "worker"
	// RoleFinisher is the LabelRole of the pod that closes a transfer.
	RoleFinisher = "finisher"

	// Finalizer keeps a transfer until its multipart uploads are aborted.
	Finalizer = "transfer.cargoship.dev/abort-uploads"
	// WorkerContainer is the name of the container in a worker pod.
	WorkerContainer = "worker"
	// WorkerConfigEnv is the environment variable that hands a worker its
	// transfer, as the JSON of an ArchiveTransfer with name, namespace, UID,
	// source, destination and packing.
	WorkerConfigEnv = "CARGOSHIP_TRANSFER"
	// RestoreFinalizer keeps a restore until none of its workers writes any more.
	RestoreFinalizer = "transfer.cargoship.dev/end-workers"
	// RestoreConfigEnv is the environment variable that hands a worker its restore, as
	// the JSON of an ArchiveRestore whose spec.from names location and run.
	RestoreConfigEnv = "CARGOSHIP_RESTORE"
)

// Condition types of an ArchiveTransfer.
const (
	// ConditionComplete is true once all files are uploaded and verified.
	ConditionComplete = "Complete"
	// ConditionFailed is true once the transfer has ended without being complete.
	ConditionFailed = "Failed"
	// ConditionSuspended is true while spec.suspend, or the Job's, holds the workers back.
	ConditionSuspended = "Suspended"
	// ConditionProgressing is true while planning or transferring can proceed;
	// otherwise its reason names what blocks it.
	ConditionProgressing = "Progressing"
	// ConditionThrottled is true while the destination throttles requests.
	ConditionThrottled = "Throttled"
	// ConditionDegraded is true while something works less well than granted: a
	// worker without a lease, archives that failed.
	ConditionDegraded = "Degraded"

	// ConditionReady is true once the transfer is complete. Ready, Reconciling and Stalled
	// are how tools that know no transfers judge an object (kstatus).
	ConditionReady = "Ready"
	// ConditionReconciling is true while the transfer goes on.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is true once it has failed, and while it waits for somebody to fix
	// what its reason names.
	ConditionStalled = "Stalled"
)

// Condition types of a PrefixLease, written by its worker.
const (
	// LeaseConditionBlocked is true while the worker can do nothing until
	// somebody fixes what its reason names.
	LeaseConditionBlocked = "Blocked"
	// LeaseConditionDrained is true once a draining worker has nothing in flight.
	LeaseConditionDrained = "Drained"
	// LeaseConditionDegraded is true while the worker's lease has expired: it goes on with what
	// it was granted last, with half of that, or with one request at a time.
	LeaseConditionDegraded = "Degraded"
	// LeaseConditionThawing is true while the worker that plans a restore waits for objects
	// that are being thawed.
	LeaseConditionThawing = "Thawing"
)

// Reasons that the manager gives in conditions and events.
const (
	ReasonPlanning               = "Planning"
	ReasonTransferring           = "Transferring"
	ReasonRestoring              = "Restoring"
	ReasonThawing                = "Thawing"
	ReasonBinding                = "Binding"
	ReasonFinishing              = "Finishing"
	ReasonComplete               = "Complete"
	ReasonSuspended              = "Suspended"
	ReasonNotSuspended           = "NotSuspended"
	ReasonFilesFailed            = "FilesFailed"
	ReasonWorkersFailed          = "WorkersFailed"
	ReasonCountsDiffer           = "CountsDiffer"
	ReasonNothingSelected        = "NothingSelected"
	ReasonFinishFailed           = "FinishFailed"
	ReasonWorkerBlocked          = "WorkerBlocked"
	ReasonWorkersPending         = "WorkersPending"
	ReasonPodsRejected           = "PodsRejected"
	ReasonPodsLeft               = "PodsLeft"
	ReasonClaimNotFound          = "PersistentVolumeClaimNotFound"
	ReasonClaimNotBound          = "PersistentVolumeClaimNotBound"
	ReasonSecretNotFound         = "SecretNotFound"
	ReasonSecretIncomplete       = "SecretIncomplete"
	ReasonCABundleNotFound       = "CABundleNotFound"
	ReasonServiceAccountNotFound = "ServiceAccountNotFound"
	ReasonHostPathNotAllowed     = "HostPathNotAllowed"
	ReasonNFSNotAllowed          = "NFSNotAllowed"
	ReasonNameTaken              = "NameTaken"
	ReasonTransferNotFound       = "ArchiveTransferNotFound"
	ReasonTransferRunning        = "ArchiveTransferRunning"
	ReasonClaimNotWritable       = "PersistentVolumeClaimNotWritable"
	ReasonTargetBusy             = "TargetBusy"
	ReasonPopulatorNotAllowed    = "VolumePopulatorNotAllowed"
	ReasonWaitingForClaim        = "WaitingForClaim"
	ReasonWaitingForConsumer     = "WaitingForFirstConsumer"
	ReasonClaimInUse             = "PersistentVolumeClaimInUse"
	ReasonNotThrottled           = "NotThrottled"
	ReasonThrottling             = "DestinationThrottling"
	ReasonHealthy                = "Healthy"
	ReasonLeaseExpired           = "LeaseExpired"
	// ReasonInvalidCoordination: the values of spec.coordination contradict each other,
	// or the status was edited so that it cannot be resumed from.
	ReasonInvalidCoordination = "InvalidCoordination"
	// ReasonCoordinationParked: the coordinator failed on the transfer or its destination
	// and tries again after a pause.
	ReasonCoordinationParked = "CoordinationParked"
	// ReasonSnapshotUnreadable: what a DestinationProfile holds is not used.
	ReasonSnapshotUnreadable = "SnapshotUnreadable"
	// ReasonInForce: a CoordinationPolicy is in force as it is written.
	ReasonInForce = "InForce"
	// ReasonUnknownTimeZone: a schedule names no zone of the IANA database, so that its limit
	// holds always.
	ReasonUnknownTimeZone = "UnknownTimeZone"
	// ReasonPoliciesContradict: another policy is as specific, so that the lowest limits of both
	// hold.
	ReasonPoliciesContradict = "PoliciesContradict"
	// ReasonLimitsChanged: other limits of a policy have come into force.
	ReasonLimitsChanged = "LimitsChanged"
	// ReasonPolicySuspended: a limit of zero lets nothing be sent to a destination.
	ReasonPolicySuspended = "PolicySuspended"
	// ReasonLimitOfZero: a limit of zero is in force.
	ReasonLimitOfZero = "LimitOfZero"
	// ReasonNamespaceDenied: a CoordinationPolicy does not let the namespace use a destination.
	ReasonNamespaceDenied = "NamespaceDenied"
	// ReasonUnspecified replaces a worker's reason that is not a word.
	ReasonUnspecified = "Unspecified"
)

// Reasons that a worker gives when it is blocked or when a file fails. They
// follow from the class of the error; see internal/s3.
const (
	ReasonBucketNotFound        = "BucketNotFound"
	ReasonCredentialsMissing    = "CredentialsMissing"
	ReasonCredentialsRejected   = "CredentialsRejected"
	ReasonPermissionDenied      = "PermissionDenied"
	ReasonRegionMismatch        = "RegionMismatch"
	ReasonEndpointUnreachable   = "EndpointUnreachable"
	ReasonCertificateNotTrusted = "CertificateNotTrusted"
	ReasonConfigurationRejected = "ConfigurationRejected"
	ReasonSourceUnavailable     = "SourceUnavailable"
	ReasonCredentialsExpired    = "CredentialsExpired"
	ReasonObjectNotFound        = "ObjectNotFound"
	ReasonChecksumUnsupported   = "ChecksumUnsupported"
	ReasonEndpointInvalid       = "EndpointInvalid"
	ReasonCABundleInvalid       = "CABundleInvalid"
	ReasonClockSkewed           = "ClockSkewed"
	ReasonListingBroken         = "ListingBroken"
	ReasonAnswerUnreadable      = "AnswerUnreadable"
	ReasonRunNotFound           = "RunNotFound"
	ReasonRunUnreadable         = "RunUnreadable"
	ReasonPatternInvalid        = "PatternInvalid"
	ReasonTargetUnavailable     = "TargetUnavailable"
	ReasonTargetFull            = "TargetFull"
	ReasonTargetTooSmall        = "TargetTooSmall"
	ReasonThawTooExpensive      = "ThawTooExpensive"
	ReasonThawUnavailable       = "ThawUnavailable"
	ReasonBudgetExceeded        = "BudgetExceeded"
)

// BlockedReasons are the reasons that a blocked worker may give. Any other is not shown
// as a reason of the transfer, since a worker could give one of the manager's own.
func BlockedReasons() []string {
	return []string{
		ReasonBucketNotFound, ReasonCredentialsMissing, ReasonCredentialsRejected, ReasonCredentialsExpired, ReasonPermissionDenied,
		ReasonObjectNotFound, ReasonRegionMismatch, ReasonEndpointUnreachable, ReasonEndpointInvalid, ReasonCertificateNotTrusted,
		ReasonCABundleInvalid, ReasonChecksumUnsupported, ReasonClockSkewed, ReasonConfigurationRejected, ReasonSourceUnavailable,
		ReasonListingBroken, ReasonAnswerUnreadable,
		ReasonRunNotFound, ReasonRunUnreadable, ReasonPatternInvalid, ReasonTargetUnavailable, ReasonTargetFull,
		ReasonTargetTooSmall, ReasonThawTooExpensive, ReasonThawUnavailable, ReasonBudgetExceeded,
	}
}

// Keys that a credentials Secret holds, named as AWS tools name them.
const (
	SecretKeyAccessKeyID     = "AWS_ACCESS_KEY_ID"
	SecretKeySecretAccessKey = "AWS_SECRET_ACCESS_KEY"
	SecretKeySessionToken    = "AWS_SESSION_TOKEN"
)
