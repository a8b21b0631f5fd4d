package copy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/endpoint"
)

// longestMemory in bytes is read of a file.
const longestMemory = 1 << 20

// memory is a file that says what a destination is known for.
type memory struct{ path string }

// remembered is what the file holds.
type remembered struct {
	// Updated is when it was written, Snapshot as the coordinator's core encodes it.
	Updated  time.Time       `json:"updated"`
	Snapshot json.RawMessage `json:"snapshot"`
}

// memoryOf is the file of a destination below a directory; without one nothing is remembered.
func memoryOf(o Options) memory {
	if o.Memory == "" {
		return memory{}
	}
	domain := endpoint.Domain(o.Destination.Endpoint, o.Destination.Region, o.Destination.Bucket)
	return memory{filepath.Join(o.Memory, convert.ProfileName(domain)+".json")}
}

// recall is what the destination is known for, as far as that is to be trusted at its age. What
// cannot be read is as if there was nothing: it is measured again.
func (m memory) recall(now time.Time) *protocol.NetworkProfile {
	if m.path == "" {
		return nil
	}
	file, err := os.Open(m.path)
	if err != nil {
		return nil
	}
	defer file.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(io.LimitReader(file, longestMemory))
	if err != nil {
		return nil
	}
	var r remembered
	if err := json.Unmarshal(text, &r); err != nil {
		return nil
	}
	s, err := protocol.DecodeSnapshot(r.Snapshot)
	if err != nil || s.Known == nil {
		return nil
	}
	age := now.Sub(r.Updated)
	if r.Updated.After(now.Add(time.Minute)) {
		age = protocol.Forgotten // somebody has written it, or set the clock
	}
	known := s.Known.Aged(age)
	return &known
}

// keep writes what the destination is known for by now, whole or not at all.
func (m memory) keep(now time.Time, known *protocol.NetworkProfile) error {
	if m.path == "" || known == nil {
		return nil
	}
	text, err := json.Marshal(remembered{now.UTC(), protocol.EncodeSnapshot(protocol.Snapshot{Known: known}, longestMemory)})
	if err != nil {
		return fmt.Errorf("encode what is known of the destination: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(m.path), ".new-*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), m.path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return err
}
