// Package tracing sends the spans of what a program does to an OpenTelemetry collector, if
// the environment names one.
package tracing
