package figures

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
)

// Machine describes processor, cores and memory.
func Machine() string {
	model := runtime.GOARCH
	// Where there is no such file, the architecture has to do.
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if match := regexp.MustCompile(`model name\s*:\s*(.+)`).FindSubmatch(text); match != nil {
			model = string(bytes.TrimSpace(match[1]))
		}
	}
	memory := ""
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kibi int64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d", &kibi); err == nil {
			memory = fmt.Sprintf(", %d GiB", (kibi+1<<19)>>20)
		}
	}
	return fmt.Sprintf("%s, %d cores%s, %s %s", model, runtime.NumCPU(), memory, runtime.GOOS, firstWord("/proc/sys/kernel/osrelease"))
}

// Load is the load average of the last minute.
func Load() string { return firstWord("/proc/loadavg") }

func firstWord(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	return word
}
