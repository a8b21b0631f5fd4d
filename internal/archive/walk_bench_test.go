package archive

import (
	"fmt"
	"testing"
)

func BenchmarkWalk(b *testing.B) {
	files := map[string]int64{}
	for i := range 20_000 {
		files[fmt.Sprintf("dir%02d/sub%03d/file-%06d.dat", i%20, i%400, i)] = int64(i % 5000)
	}
	_, s := tree(b, files)
	for _, l := range []Layout{mirror(".", "*"), {Pattern: Hash, Count: 16, UID: "uid"}} {
		b.Run(string(l.Pattern), func(b *testing.B) {
			for b.Loop() {
				totals, err := s.Walk(b.Context(), WalkOptions{Layout: l}, func(Archive) error { return nil })
				if err != nil || totals.Files != int64(len(files)) {
					b.Fatal(totals, err)
				}
			}
			b.ReportMetric(float64(len(files))*float64(b.N)/b.Elapsed().Seconds(), "files/s")
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	files := map[string]int64{}
	for i := range 20_000 {
		files[fmt.Sprintf("dir%02d/sub%03d/file-%06d.dat", i%20, i%400, i)] = int64(i % 5000)
	}
	_, s := tree(b, files)
	for b.Loop() {
		p := &Planner{Source: s, Store: newMapStore(), Layout: Layout{Pattern: Mirror, UID: "uid"}}
		if _, err := p.Run(b.Context(), func(Plan) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(files))*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
