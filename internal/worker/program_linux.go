package worker

import (
	"bufio"
	"fmt"
	"os"
)

// programMemory is what of the program itself is in memory, in bytes: the pages that are
// backed by files. It is 0 where the system does not tell.
func programMemory() int64 {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer func() { _ = status.Close() }() // It is only read.
	for lines := bufio.NewScanner(status); lines.Scan(); {
		var kibi int64
		if _, err := fmt.Sscanf(lines.Text(), "RssFile: %d kB", &kibi); err == nil {
			return kibi << 10
		}
	}
	return 0
}
