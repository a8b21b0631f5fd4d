// Package pace is the law by which one worker lets the requests of one prefix
// start: within the window and the rate that it was granted, and at once below
// them when the destination refuses.
package pace
