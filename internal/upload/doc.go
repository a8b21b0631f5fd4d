// Package upload sends files, and archives that are made while they are sent, within granted
// windows and rates.
package upload
