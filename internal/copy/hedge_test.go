package copy

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/lab"
)

// TestTheLastFilesDoNotWaitForSlowAnswers copies the same files with and without second attempts,
// for which one of the storage classes is no place. The last files are answered late.
func TestTheLastFilesDoNotWaitForSlowAnswers(t *testing.T) {
	const files, slow = 1500, 3
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d", i)), []byte(fmt.Sprint(i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for class, late := range map[string]time.Duration{"STANDARD": time.Minute, "STANDARD_IA": 2 * time.Second} {
		t.Run(class, func(t *testing.T) {
			hedged := class == "STANDARD"
			server := lab.NewDiscard()
			summary := copyThrough(t, dir, class, server, lab.Fault{
				Kind: lab.SlowAnswer, Keys: fmt.Sprintf("data/%05d", (files-slow)/10), Share: 1, Duration: late,
				Most: slow, Skip: 10 - slow, Operations: []string{"PutObject"},
			})
			if took := time.Duration(summary.Seconds * float64(time.Second)); took < late != hedged || summary.Hedged > 0 != hedged {
				t.Errorf("%d requests were sent twice, and the copy took %v, want that below %v: %v", summary.Hedged, took, late, hedged)
			}
			if summary.Requests != files+summary.Hedged || summary.Hedged > summary.Requests/100 || summary.Retries > 0 {
				t.Errorf("%d requests for %d files, of which %d were sent twice, %d retries", summary.Requests, files, summary.Hedged, summary.Retries)
			}
			if objects, _ := server.Objects(); objects != files {
				t.Errorf("%d objects are stored, want %d", objects, files)
			}
		})
	}
}

// copyThrough copies a directory to a server with a fault before it.
func copyThrough(t *testing.T, dir, class string, server *lab.Discard, f lab.Fault) Summary {
	t.Helper()
	listening := httptest.NewServer(lab.New(lab.Options{Backend: server, Plan: lab.Plan{Conditions: lab.Conditions{Faults: []lab.Fault{f}}}}))
	defer listening.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	summary, err := Run(t.Context(), Options{
		Source: dir, Name: "slow", Layout: archive.Layout{Pattern: archive.Mirror, Base: "data"},
		Destination: s3.Options{
			Bucket: "bucket", Region: "us-east-1", Endpoint: listening.URL, PathStyle: true, StyleGiven: true, Ambient: true, StorageClass: class,
		},
	})
	if err != nil || summary.Failed > 0 {
		t.Fatalf("%d failed: %v", summary.Failed, err)
	}
	return summary
}
