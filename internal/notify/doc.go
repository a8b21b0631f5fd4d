// Package notify tells a receiver that a transfer or a restore has ended: as a CloudEvent over HTTP,
// signed as Standard Webhooks are.
package notify
