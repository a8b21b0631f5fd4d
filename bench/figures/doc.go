// Package figures holds what the benchmarks of this repository share: the machine they
// ran on, a lab in a process of its own, the spread of figures, and how figures are drawn.
package figures
