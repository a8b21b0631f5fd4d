package restore

import (
	"context"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/tracing"
)

// traced restores what is selected of one archive, unless it is still being thawed.
func (r *restorer) traced(ctx context.Context, m archive.Manifest) error {
	ctx, span := tracing.Begin(ctx, "archive")
	defer span.End()
	span.Text("cargoship.prefix", m.Prefix)
	span.Number("cargoship.number", m.Number)
	ready, err := r.thawed(ctx, m)
	if err == nil && ready {
		err = r.archive(ctx, m)
	}
	switch {
	case err != nil:
		span.Text("cargoship.outcome", "Stopped")
		span.Fail("")
	case !ready:
		span.Text("cargoship.outcome", "Thawing")
	default:
		span.Text("cargoship.outcome", "Finished")
	}
	return err
}
