// Package process runs child processes in groups of their own that are stopped
// as a whole and do not outlive this process.
package process
