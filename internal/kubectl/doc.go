// Package kubectl is the command line for a cluster: it reads transfers, changes them as
// people would with kubectl patch, and hands what is to be shown to package view.
package kubectl
