package tracing

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// flushTimeout bounds how long a program that ends waits for a collector.
const flushTimeout = 2 * time.Second

// scope names what makes the spans.
const scope = "cargoship.dev/operator"

// Start has spans of a service sent from now on, if the environment asks for it by the
// variables of OpenTelemetry; if not it starts nothing. An error names the variable that is
// wrong. What goes wrong later is logged, and fails nothing. stop sends what is left, for two
// seconds at most.
func Start(ctx context.Context, service string, logger *slog.Logger) (stop func(context.Context) error, err error) {
	s, err := readSettings()
	if err != nil || s.url == "" {
		return func(context.Context) error { return nil }, err
	}
	client := newClient(s, logger)
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, err
	}
	described, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", service), attribute.String("service.version", version())),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		logger.Warn("traces lack attributes of the environment", "error", err.Error())
	}
	provider := trace.NewTracerProvider(trace.WithResource(described),
		trace.WithBatcher(exporter, trace.WithExportTimeout(s.timeout)))
	t := provider.Tracer(scope)
	tracer.Store(&t)
	return func(ctx context.Context) error {
		tracer.Store(nil)
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		err := provider.Shutdown(ctx)
		client.end()
		return err
	}, nil
}

// version is that of the program, as it was built.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}
