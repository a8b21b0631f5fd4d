// Command simulate runs scenarios of internal/sim with the
// production coordinator and with the baselines it is compared with.
package main
