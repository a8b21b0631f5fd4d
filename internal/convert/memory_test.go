package convert

import "testing"

func TestMostInFlight(t *testing.T) {
	for limit, want := range map[int64]int{0: 0, 1: 8, 64 << 20: 19, 512 << 20: 153, 1 << 62: 1<<31 - 1} {
		if got := MostInFlight(limit); got != want {
			t.Errorf("%d bytes: %d requests, want %d", limit, got, want)
		}
	}
}
