// Package assets finds, fetches or builds the programs that a control plane on
// this machine consists of.
package assets
