// Package fairshare divides what the congestion controller has found, windows and rates,
// by weighted max-min fairness: over tenants, over the transfers of each, over their
// prefixes, over the workers on these. What each party could use it is told.
package fairshare
