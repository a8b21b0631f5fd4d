// Package controllers reconciles ArchiveTransfers: the lifecycle of one
// transfer, and the coordinator that ticks for all of them.
package controllers
