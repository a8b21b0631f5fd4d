// Package lease holds both halves of invariant I2, that a worker's lease ends before
// the manager believes it has: the manager's Ledger of what it granted a worker, and
// the worker's Holder. What is granted is decided elsewhere.
package lease
