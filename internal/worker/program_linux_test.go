package worker

import "testing"

// The bound has room for the program itself, which the collector knows nothing of.
func TestTheBoundOfACommandHasRoomForTheProgram(t *testing.T) {
	program := programMemory()
	if program < 1<<20 || program > 1<<30 {
		t.Fatalf("this program takes %d bytes, which cannot be", program)
	}
	// Pages may come and go between two looks.
	if got := CommandBound(5<<20) - commandHeap - slack - 5<<20; got < program/2 || got > 2*program {
		t.Errorf("the bound has room for a program of %d bytes, of which %d are in memory", got, program)
	}
}
