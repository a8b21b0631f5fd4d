// Package fairshare divides the windows and rates that the congestion controller has found,
// by weighted max-min fairness: over tenants, over the transfers of each, over their
// prefixes, and over the workers on these. What each party could use is an input.
package fairshare
