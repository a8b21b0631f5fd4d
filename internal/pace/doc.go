// Package pace is the law by which one worker starts the requests of one prefix: within the
// window and the rate that it was granted, and immediately below them when the destination
// throttles.
package pace
