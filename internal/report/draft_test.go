package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
)

// ran is a run of n files that failed, and its draft.
func ran(n int) (*Draft, archive.Index) {
	d := NewDraft(StoredAs("", false, false))
	i := archive.Index{Transfer: "uid", Written: time.Unix(1, 0).UTC(), Layout: archive.Layout{Pattern: archive.Hash, Count: 1, UID: "uid"}}
	var tally archive.Tally
	for k := range n {
		m := archive.Member{Path: fmt.Sprintf("directory/file-%d", k), Size: 7, Outcome: archive.Failed, Reason: "Unreadable", Message: "permission denied"}
		tally.Add(m)
		d.Add(archive.PathMember{Prefix: "00", Number: int64(k / 1000), Member: m})
	}
	i.Prefixes = []archive.IndexedPrefix{{
		Name: "00", Archives: int64((n + 999) / 1000), Files: tally.Failed.Files, Bytes: tally.Failed.Bytes, Outcomes: &tally,
	}}
	return d, i
}

// What would take too much memory is counted, and the report is then one that nobody takes for
// whole.
func TestAReportInTheBucketIsBounded(t *testing.T) {
	const failing = 100_000
	d, i := ran(failing)
	body, err := d.encode(i)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatal(err)
	}
	if len(body) > maxListed+1<<20 || int64(len(r.Failures))+r.FailuresOmitted != failing || r.Failed.Files != failing || r.Reasons[0].Files != failing {
		t.Errorf("%d bytes, %d listed and %d omitted of %+v", len(body), len(r.Failures), r.FailuresOmitted, r.Failed)
	}
	if len(r.Failures) < 60_000 {
		t.Errorf("only %d failures are listed", len(r.Failures))
	}
	if _, err := decode(body, i); err == nil || !strings.Contains(err.Error(), fmt.Sprint(r.FailuresOmitted)) {
		t.Errorf("it is taken for whole: %v", err)
	}
	d, i = ran(10_000)
	if body, err = d.encode(i); err != nil {
		t.Fatal(err)
	}
	if r, err := decode(body, i); err != nil || len(r.Failures) != 10_000 {
		t.Errorf("%d failures of 10000: %v", len(r.Failures), err)
	}
}

// Where the path index was not finished, not every member was seen.
func TestNoReportOfAPartOfARun(t *testing.T) {
	for name, change := range map[string]func(*archive.Index){
		"a file less": func(i *archive.Index) { i.Prefixes[0].Outcomes.Failed.Files++ },
		"an archive":  func(i *archive.Index) { i.Prefixes[0].Archives++ },
		"a prefix": func(i *archive.Index) {
			i.Prefixes = append(i.Prefixes, archive.IndexedPrefix{Name: "01", Archives: 1})
		},
		"no outcomes":    func(i *archive.Index) { i.Prefixes[0].Outcomes = nil },
		"other outcomes": func(i *archive.Index) { t := i.Prefixes[0].Outcomes; t.Failed, t.Done = t.Done, t.Failed },
	} {
		d, i := ran(3)
		if change(&i); d.tally.whole(i) {
			t.Errorf("%s: it is taken for whole", name)
		}
		if body, err := d.encode(i); err == nil {
			t.Errorf("%s: %s", name, body)
		}
	}
}
