package main

import "strings"

// subject is the controller whose report this is.
const subject = "adaptive"

// The fixed windows of the original's claims: three requests on each prefix, its
// default, and 64 for each worker.
const (
	fixedDefault = "fixed-3p"
	fixedWide    = "fixed-64"
)

// ours tells whether a controller is one of the coordinator's strategies, or a
// variant of one.
func ours(controller string) bool {
	for _, name := range []string{"adaptive", "tcp_like", "fair_share"} {
		if controller == name || strings.HasPrefix(controller, name+"-") || strings.HasPrefix(controller, name+":") {
			return true
		}
	}
	return false
}

// compared are the controllers of the main comparison. best-fixed chooses its
// window with hindsight.
func compared() []string {
	return []string{
		subject, "tcp_like", "fair_share", fixedDefault, fixedWide, "best-fixed",
		"aimd", "gradient2", "aws-adaptive", "emrfs", "polars", "falcon", "bbr", "crt", "seed",
	}
}

// parameter is an adaptive parameter with the values that its sensitivity is
// measured at, the default among them.
type parameter struct {
	name   string
	preset string
	values []string
}

func parameters() []parameter {
	return []parameter{
		{"learningRate", "0.1", []string{"0.03", "0.1", "0.3", "1"}},
		{"bandwidthProbingRate", "0.05", []string{"0.01", "0.05", "0.15", "0.4"}},
		{"congestionSensitivity", "0.8", []string{"0.2", "0.5", "0.8", "0.95"}},
		{"recoveryAggressiveness", "1.2", []string{"0.5", "1.2", "3"}},
		{"slowStartThreshold", "16", []string{"4", "16", "256"}},
		{"globalCongestionWindow", "32", []string{"8", "32", "256"}},
	}
}

// controller names the subject with the parameter at a value.
func (p parameter) controller(value string) string {
	if value == p.preset {
		return subject
	}
	return subject + ":" + p.name + "=" + value
}

// varied are the controllers of the sensitivity study, without repetition.
func varied() []string {
	names := []string{subject}
	for _, p := range parameters() {
		for _, v := range p.values {
			if v != p.preset {
				names = append(names, p.controller(v))
			}
		}
	}
	return names
}
