// Command simulate runs scenarios of internal/coordination/sim with the
// production coordinator and with the baselines it is compared with.
package main
