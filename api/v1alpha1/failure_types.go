package v1alpha1

// FailureAction is what to do when a file could not be archived.
// +kubebuilder:validation:Enum=Continue;Stop
type FailureAction string

const (
	// FailureContinue archives everything else.
	FailureContinue FailureAction = "Continue"
	// FailureStop ends the transfer immediately.
	FailureStop FailureAction = "Stop"
)

// NothingSelectedAction is what to do when no file is selected.
// +kubebuilder:validation:Enum=Fail;Complete
type NothingSelectedAction string

const (
	// NothingSelectedFails fails the transfer.
	NothingSelectedFails NothingSelectedAction = "Fail"
	// NothingSelectedCompletes completes the transfer, with a warning.
	NothingSelectedCompletes NothingSelectedAction = "Complete"
)

// FailurePolicy decides how files that can't be archived affect the transfer.
type FailurePolicy struct {
	// onFailure is Continue to archive everything else, or Stop to end the transfer once
	// more than toleratedFailures files have failed. A stopped transfer is not resumed
	// when toleratedFailures is raised.
	// +optional
	// +kubebuilder:default=Continue
	OnFailure FailureAction `json:"onFailure,omitempty"`

	// toleratedFailures is the number of files that may fail before the transfer counts
	// as failed.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	ToleratedFailures *int64 `json:"toleratedFailures,omitempty"`

	// onNothingSelected is what to do when no file is selected: Fail or Complete. Absent
	// means Fail if source.include or source.exclude is given, since a pattern that
	// matches nothing is usually a mistake, and Complete otherwise.
	// +optional
	OnNothingSelected NothingSelectedAction `json:"onNothingSelected,omitempty"`

	// attemptsPerArchive is the maximum number of attempts at an archive.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	AttemptsPerArchive int32 `json:"attemptsPerArchive,omitempty"`
}
