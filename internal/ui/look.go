package ui

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/kubectl/view"
)

// Source looks at a cluster.
type Source interface {
	Look(ctx context.Context) Look
}

// Look is what a Source has found at a time.
type Look struct {
	At time.Time
	// Items are transfers and restores, with what is known of their workers.
	Items []view.Item
	// Events are those about transfers and restores.
	Events []corev1.Event
	// Profiles are what managers have learned about destinations.
	Profiles []v1alpha1.DestinationProfile
	// Unread are the kinds of Items that could not be listed: those that are not among
	// Items may be there all the same.
	Unread []string
	// Problems say what could not be read, why, and what to do.
	Problems []string
}
