package v1alpha1

// Populator restores into a new claim whose spec.dataSourceRef names the ArchiveRestore. The
// claim is bound once everything is restored.
type Populator struct{}
