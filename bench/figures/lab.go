package figures

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"time"

	"cargoship.dev/operator/lab"
	"cargoship.dev/operator/test/kit/process"
)

// Lab is a lab in a process of its own.
type Lab struct {
	// Endpoint is the URL that it serves at.
	Endpoint string

	child *process.Process
	out   bytes.Buffer
}

// LabStats is what a lab before a server that keeps nothing has seen, and what stands there.
type LabStats struct {
	lab.Stats
	Objects     int   `json:"objects"`
	ObjectBytes int64 `json:"objectBytes"`
}

// labTime bounds the start and the end of a lab.
const labTime = 10 * time.Second

// StartLab starts the program s3lab and waits until it serves.
func StartLab(program string, arguments ...string) (*Lab, error) {
	l := &Lab{}
	told, teller, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the lab: %w", err)
	}
	defer told.Close() //nolint:errcheck // It is only read.
	cmd := exec.Command(program, arguments...)
	cmd.Stdout, cmd.Stderr = &l.out, teller
	l.child, err = process.Start(cmd)
	if err := errors.Join(err, teller.Close()); err != nil {
		return nil, err
	}
	if err := told.SetReadDeadline(time.Now().Add(labTime)); err != nil {
		return nil, errors.Join(fmt.Errorf("start the lab: %w", err), l.child.Stop(0))
	}
	said := ""
	for lines := bufio.NewScanner(told); l.Endpoint == "" && lines.Scan(); {
		said = lines.Text()
		if match := regexp.MustCompile(`serving at (https?://\S+)`).FindStringSubmatch(said); match != nil {
			l.Endpoint = match[1]
		}
	}
	if l.Endpoint == "" {
		return nil, errors.Join(fmt.Errorf("start the lab: it said %q", said), l.child.Stop(0))
	}
	return l, nil
}

// Stop ends the lab and returns what it has seen.
func (l *Lab) Stop() (LabStats, error) {
	var stats LabStats
	if err := l.child.Stop(labTime); err != nil {
		return stats, fmt.Errorf("stop the lab: %w", err)
	}
	if err := json.Unmarshal(l.out.Bytes(), &stats); err != nil {
		return stats, fmt.Errorf("read the lab's statistics: %w", err)
	}
	return stats, nil
}
