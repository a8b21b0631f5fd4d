package fairshare

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawClaims(t *rapid.T) []claim {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) claim {
		return claim{
			weight:  float64(rapid.IntRange(1, 9).Draw(t, "weight")),
			base:    float64(rapid.IntRange(0, 5).Draw(t, "base")),
			floor:   float64(rapid.IntRange(0, 1).Draw(t, "floor")),
			demand:  float64(rapid.IntRange(0, 60).Draw(t, "demand")),
			limit:   float64(rapid.IntRange(0, 90).Draw(t, "limit")),
			current: rapid.IntRange(0, 60).Draw(t, "current"),
			rank:    rapid.Int64Range(0, 3).Draw(t, "rank"),
			inTurn:  rapid.Bool().Draw(t, "inTurn"),
		}
	}), 1, 12).Draw(t, "claims")
}

// A share is max-min fair when nobody could have more without taking it from
// somebody whose level is not higher.
func TestFillIsMaxMinFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := drawClaims(t)
		capacity := float64(rapid.IntRange(0, 200).Draw(t, "capacity"))
		new(allocator).fill(capacity, claims)
		var sum, demands, limits float64
		for _, c := range claims {
			if c.fair < 0 || c.fair > c.limit+1e-9 {
				t.Fatalf("share %v of limit %v", c.fair, c.limit)
			}
			sum += c.fair
			demands += c.demand
			limits += c.limit
		}
		if want := min(capacity, limits); math.Abs(sum-want) > 1e-6 {
			t.Fatalf("shares sum to %v, want %v", sum, want)
		}
		for _, c := range claims {
			switch {
			case demands <= capacity && c.fair < c.demand-1e-6:
				t.Fatalf("share %v is below the demand %v, though all could be met", c.fair, c.demand)
			case demands > capacity && c.fair > c.demand+1e-6:
				t.Fatalf("share %v is above the demand %v, though others want it", c.fair, c.demand)
			}
		}
		if demands <= capacity {
			return
		}
		level := func(c claim) float64 { return (c.base + c.fair) / c.weight }
		for _, poor := range claims {
			for _, rich := range claims {
				wants := poor.fair < poor.demand-1e-6
				spares := rich.fair > rich.floor+1e-6
				if wants && spares && level(rich) > level(poor)+1e-6 {
					t.Fatalf("%+v could have more of %+v", poor, rich)
				}
			}
		}
	})
}

func TestDivideGivesWholeSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := drawClaims(t)
		capacity := rapid.IntRange(0, 200).Draw(t, "capacity")
		new(allocator).divide(capacity, claims)
		sum, limits, floors, served := 0, 0, 0, 0
		for _, c := range claims {
			if c.share < 0 || float64(c.share) > c.limit {
				t.Fatalf("share %d of limit %v", c.share, c.limit)
			}
			sum += c.share
			limits += int(c.limit)
			floors += int(c.floor)
			served += min(c.share, int(c.floor))
		}
		if want := min(capacity, limits); sum != want {
			t.Fatalf("shares sum to %d, want %d", sum, want)
		}
		if want := min(capacity, floors); served < want {
			t.Fatalf("%d of the floors are met, want %d", served, want)
		}
	})
}

func TestDivide(t *testing.T) {
	tests := map[string]struct {
		capacity int
		claims   []claim
		want     []int
	}{
		"what nobody is known to use goes to all": {
			12, []claim{{weight: 1, demand: 2, limit: 99}, {weight: 1, demand: 6, limit: 99}}, []int{6, 6}},
		"up to the limit": {
			12, []claim{{weight: 1, demand: 2, limit: 4}, {weight: 1, demand: 6, limit: 7}}, []int{4, 7}},
		"by weight": {12, []claim{{weight: 1, demand: 99}, {weight: 2, demand: 99}, {weight: 3, demand: 99}}, []int{2, 4, 6}},
		"what one does not need goes to the others": {
			12, []claim{{weight: 1, demand: 2}, {weight: 1, demand: 99}, {weight: 1, demand: 99}}, []int{2, 5, 5}},
		"largest remainder": {10, []claim{{weight: 1, demand: 99}, {weight: 1, demand: 99}, {weight: 1, demand: 99, rank: -1}}, []int{3, 3, 4}},
		"one slot each where the weight gives less": {
			10, []claim{{weight: 1, floor: 1, demand: 99}, {weight: 999, floor: 1, demand: 99}}, []int{1, 9}},
		"by rank where not all get one": {
			1, []claim{{weight: 9, floor: 1, demand: 99, rank: 2}, {weight: 1, floor: 1, demand: 99, rank: 1}}, []int{0, 1}},
		"in turn keeps its slot": {
			1, []claim{{weight: 1, demand: 9, rank: 2, current: 1, inTurn: true}, {weight: 1, demand: 9, rank: 1}}, []int{1, 0}},
		"out of turn loses it": {
			1, []claim{{weight: 1, demand: 9, rank: 2, current: 1}, {weight: 1, demand: 9, rank: 1}}, []int{0, 1}},
		"a tenth is not worth a change": {
			200, []claim{{weight: 1, demand: 999, current: 105}, {weight: 1, demand: 999, current: 95}}, []int{105, 95}},
		"more than a tenth is": {
			200, []claim{{weight: 1, demand: 999, current: 120}, {weight: 1, demand: 999, current: 80}}, []int{100, 100}},
		"what is held never exceeds the capacity": {
			190, []claim{{weight: 1, demand: 999, current: 100}, {weight: 1, demand: 999, current: 100}}, []int{95, 95}},
		"levels count what is held elsewhere": {
			6, []claim{{weight: 1, base: 4, demand: 99}, {weight: 1, demand: 99}}, []int{1, 5}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			new(allocator).divide(test.capacity, test.claims)
			var got []int
			for _, c := range test.claims {
				got = append(got, c.share)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
