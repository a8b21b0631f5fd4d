package congestion

import (
	"fmt"
	"strings"
)

// Mechanism is a set of parts of the law that a simulation may do without, to tell
// what each is worth. Products leave none out.
type Mechanism uint

// The parts of the law.
const (
	// Groups: prefixes that are policed apart have rates of their own.
	Groups Mechanism = 1 << iota
	// Haste: reports come faster while the law moves fast.
	Haste
	// Drain: the queue is emptied now and then to measure the latency without one.
	Drain
	// Probing: rates are raised to find out whether they may be.
	Probing
	// Slots: prefixes with a rate hold no more of the window than it can use.
	Slots
)

// Mechanisms gives the names of all, in the order of the constants.
func Mechanisms() []string {
	return []string{"groups", "haste", "drain", "probing", "slots"}
}

// MechanismNamed finds a mechanism by its name.
func MechanismNamed(name string) (Mechanism, error) {
	for i, known := range Mechanisms() {
		if name == known {
			return 1 << i, nil
		}
	}
	return 0, fmt.Errorf("no mechanism is named %q, only %s", name, strings.Join(Mechanisms(), ", "))
}

// Has tells that the mechanism is among them.
func (m Mechanism) Has(part Mechanism) bool { return m&part != 0 }
