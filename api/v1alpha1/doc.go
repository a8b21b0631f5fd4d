// Package v1alpha1 holds the API types of the transfer.cargoship.dev group: users write
// ArchiveTransfers and ArchiveRestores, administrators CoordinationPolicies; the manager
// and each worker pod exchange grants and reports through a PrefixLease, and a
// DestinationProfile keeps what the manager has learned about a destination.
//
// +kubebuilder:object:generate=true
// +groupName=transfer.cargoship.dev
package v1alpha1
