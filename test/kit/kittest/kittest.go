// Package kittest starts what test/kit offers for the time of a test.
package kittest

import (
	"os"
	"testing"

	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/assets"
)

// ControlPlane starts a control plane and stops it after the test. It also returns the
// directory of the control plane's programs.
func ControlPlane(tb testing.TB) (cluster *kit.Cluster, programs string) {
	tb.Helper()
	programs, err := assets.Ensure(tb.Context(), assets.Options{Log: os.Stderr})
	if err != nil {
		tb.Fatal(err)
	}
	cluster, err = kit.Start(tb.Context(), kit.Options{Assets: programs, Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return cluster, programs
}
