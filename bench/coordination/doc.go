// Command benchcoordination compares the coordinator with every other way to limit
// the same clients, in every scenario of the simulator, and writes the report.
package main
