// Package metrics holds every Prometheus metric that the manager exports.
package metrics
