// Package nodeagent is a miniature node: it binds every pod to itself and runs
// each container as a process of this machine, with the pod's own token, secrets,
// volumes and environment, and with the status a kubelet would report.
//
// A process has no mount namespace, so mount paths in arguments, command and
// environment are rewritten to real directories. Init containers, probes, security
// contexts and resource limits have no effect or are refused.
package nodeagent
