package tracing

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracer is nil unless Start has found a collector to send to. The process has one, as it
// has one environment.
var tracer atomic.Pointer[trace.Tracer] //nolint:gochecknoglobals // see above

// Span is a step of the work. The zero Span records nothing.
type Span struct{ span trace.Span }

// Begin begins a span below the one that the context holds, if any, and returns a context
// that holds it. While nothing is traced it returns the context as it is.
func Begin(ctx context.Context, name string) (context.Context, Span) {
	return begin(ctx, name, trace.SpanKindInternal)
}

// BeginRequest begins the span of a request to a server.
func BeginRequest(ctx context.Context, name string) (context.Context, Span) {
	return begin(ctx, name, trace.SpanKindClient)
}

func begin(ctx context.Context, name string, kind trace.SpanKind) (context.Context, Span) {
	t := tracer.Load()
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := (*t).Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, Span{span}
}

// Recording tells whether anybody will see the span: whether what it takes work to find out
// is worth it.
func (s Span) Recording() bool { return s.span != nil && s.span.IsRecording() }

// Text sets an attribute. An empty text sets none.
func (s Span) Text(key, value string) {
	if value != "" && s.Recording() {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// Number sets an attribute.
func (s Span) Number(key string, value int64) {
	if s.Recording() {
		s.span.SetAttributes(attribute.Int64(key, value))
	}
}

// Fail marks the span as failed, for a reason that holds neither secrets nor keys of objects.
func (s Span) Fail(reason string) {
	if s.Recording() {
		s.span.SetStatus(codes.Error, reason)
	}
}

// End ends the span; any further call of its methods does nothing.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}
