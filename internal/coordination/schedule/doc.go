// Package schedule decides which worker sends which archives: it keeps the queues of the
// prefixes, what workers hold and how often each archive was tried, chooses the next
// archive, and moves archives from one worker to another. What a worker may send is an input.
package schedule
