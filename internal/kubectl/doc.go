// Package kubectl has the commands for a cluster: they read transfers, change them as
// people would with kubectl patch, and leave the presentation to package view.
package kubectl
