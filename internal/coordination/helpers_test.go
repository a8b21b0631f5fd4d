package coordination

import "testing"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// waits tells that the worker holds archives of the prefix and has no window there.
func waits(c *workerPrefix) bool { return c.work.Held() > 0 && c.share.Window == 0 }
