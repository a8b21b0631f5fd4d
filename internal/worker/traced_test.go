package worker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/tracing/tracingtest"
)

func TestEveryAttemptIsTracedToItsEnd(t *testing.T) {
	c, flush := tracingtest.Trace(t)
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 2, 0)
		b.renew()
		after(time.Second)
		b.dest.answer = func(key string) error {
			return &s3.Error{Class: s3.Transient, Reason: "InternalError", Op: "put object", Key: key, Err: errors.New("made up")}
		}
		b.on("a", 2, 1)
		b.renew()
		after(time.Second)
		b.dest.answer = nil
		b.on("a", 2, 2)
		b.send()
		after(testUpload / 2)
		b.on("a", 2, 3) // which takes away the one before
		b.send()
		after(testUpload / 2)
	})
	flush()
	var got []string
	for _, s := range c.Spans("archive") {
		got = append(got, fmt.Sprint(s.Attributes["cargoship.prefix"], s.Attributes["cargoship.number"], " ", s.Attributes["cargoship.outcome"], " ",
			s.Attributes["cargoship.files"], " files ", s.Attributes["cargoship.bytes"], " bytes ", s.Failed, " ", s.Reason))
	}
	want := []string{
		"a0 Finished 5 files 5000 bytes false ", "a1 Retry 0 files 0 bytes true InternalError",
		"a2 Withdrawn 0 files 0 bytes false ", "a3 Withdrawn 0 files 0 bytes false ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("archives (-want +got):\n%s", diff)
	}
}
