package coordination

import (
	"testing"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// withoutCoasting is a configuration by which workers go to their floor with their lease.
func withoutCoasting() protocol.Config {
	config := protocol.DefaultConfig()
	config.CoastingTime = 0
	return config
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// waits tells that the worker holds archives of the prefix and has no window there.
func waits(c *workerPrefix) bool { return c.work.Held() > 0 && c.share.Window == 0 }
