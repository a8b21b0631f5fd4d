package worker

import (
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/tracing"
)

// outcomeWithdrawn is that of an attempt whose end nobody waits for.
const outcomeWithdrawn = "Withdrawn"

// trace begins the span of an attempt, below which are its requests.
func (a *attempt) trace() {
	a.ctx, a.span = tracing.Begin(a.ctx, "archive")
	a.span.Text("cargoship.prefix", a.prefix)
	a.span.Number("cargoship.number", a.number)
	a.span.Number("cargoship.attempt", int64(a.attempt))
}

// traced ends the span of an attempt with what has come of it, by the reason of the first
// failure that another attempt may get over.
func (a *attempt) traced(outcome string) {
	if !a.span.Recording() {
		return
	}
	var done tally
	for _, m := range a.members {
		if m.Outcome == archive.Done {
			done.add(m.Size)
		}
	}
	a.span.Number("cargoship.files", done.files)
	a.span.Number("cargoship.bytes", done.bytes)
	a.span.Text("cargoship.outcome", outcome)
	if a.trouble != nil {
		a.span.Fail(word(a.trouble.reason))
	}
	a.span.End()
}
