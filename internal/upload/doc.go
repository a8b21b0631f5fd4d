// Package upload sends files, and archives that are made meanwhile, within granted windows
// and rates.
package upload
