// Package v1alpha1 holds the API types of the transfer.cargoship.dev group:
// ArchiveTransfer, which a user writes, and PrefixLease, through which the
// manager and one worker pod talk.
//
// +kubebuilder:object:generate=true
// +groupName=transfer.cargoship.dev
package v1alpha1
