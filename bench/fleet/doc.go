// Command benchfleet measures fleets of workers on the cluster of test/cluster behind a
// lab: coordinated ones against such that know nothing of each other. It writes the
// tables of docs/benchmarks/fleet.md, and draws the dashboard from what Prometheus saw.
package main
