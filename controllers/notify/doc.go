// Package notify tells a receiver of each transfer and restore that has ended, once it has
// answered that it knows.
package notify
