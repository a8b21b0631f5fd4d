// Package schedule decides which archives which worker sends: the queues of the prefixes,
// what workers hold, how often each archive was tried, what is taken from one worker for
// another, and the choice of the next. What a worker may send it is told.
package schedule
