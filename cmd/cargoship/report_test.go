package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"cargoship.dev/operator/docs/schemas"
	"cargoship.dev/operator/docs/schemas/schematest"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/report"
)

// reported is a command without the flag --json, which report has not.
func (d *destination) reported(args ...string) []string {
	return slices.DeleteFunc(d.reach(args...), func(a string) bool { return a == "--json" })
}

// keepsToSchema fails the test unless a JSON text keeps to the schema of reports.
func keepsToSchema(t *testing.T, text string) {
	t.Helper()
	if err := schematest.Compile(t, schemas.Report).Validate(t, []byte(text)); err != nil {
		t.Error(err)
	}
}

// A run with more failures than a status lists is reported with all of them, packed or not.
func TestAReportListsEveryFailure(t *testing.T) {
	const failing = 40
	d, dir := newDestination(t), t.TempDir()
	for i := range 60 {
		write(t, dir, fmt.Sprintf("good %d", i), 1000)
	}
	for i := range failing {
		write(t, dir, fmt.Sprintf("<i>bad\xff%d", i), 10)
	}
	if r := work(t, d.args(dir, "base", "--prefixes", "1")...); r.code != 1 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	r := work(t, d.reported("report", "s3://"+bucket+"/base", "-o", "json", "--months", "6")...)
	var got report.Report
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != 0 {
		t.Fatalf("exit code %d, %v: %s", r.code, err, r.stderr)
	}
	keepsToSchema(t, r.stdout)
	want := archive.Count{Files: 60, Bytes: 60_000}
	if got.Done != want || got.Failed.Files != failing || got.Planned.Files != 60+failing || got.Stored != (report.Stored{Objects: 60, Bytes: 60_000}) {
		t.Errorf("%+v", got)
	}
	if len(got.Failures) != failing || len(got.Reasons) != 1 || got.Reasons[0].Files != failing || got.Reasons[0].Reason != archive.ReasonNameNotUTF8 {
		t.Errorf("%d failures, reasons %+v", len(got.Failures), got.Reasons)
	}
	if f := got.Failures[0]; !strings.HasPrefix(string(f.PathBase64), "<i>bad\xff") || f.Reason != archive.ReasonNameNotUTF8 {
		t.Errorf("%+v", f)
	}
	// 60 × 0.005 for 1,000, that of one manifest, and 60,000 bytes for six months.
	if c := got.Costs; c == nil || c.Class != "STANDARD" || fmt.Sprintf("%.6f", c.Total) != fmt.Sprintf("%.6f", 0.0003+0.000005+6*60_000.0/(1<<30)*0.023) {
		t.Errorf("%+v", c)
	}
	text := work(t, d.reported("report", "s3://"+bucket+"/base")...)
	if n := strings.Count(text.stdout, "failed: \""); n != failing || !strings.Contains(text.stdout, `bad\xff7"`) {
		t.Errorf("%d failures in\n%s", n, text.stdout)
	}
	page := work(t, d.reported("report", "s3://"+bucket+"/base", "-o", "html")...)
	if n := strings.Count(page.stdout, "&lt;i&gt;bad"); n != failing || strings.Contains(page.stdout, "<i>") {
		t.Errorf("%d failures on a page of %d bytes", n, len(page.stdout))
	}
}

// A manifest that can't be read is named, and makes the command fail.
func TestAReportSaysWhatItCannotRead(t *testing.T) {
	d, dir := newDestination(t), t.TempDir()
	write(t, dir, "a", 10)
	if r := work(t, d.args(dir, "base", "--packing", "tar", "--prefixes", "1")...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	whole := work(t, d.reported("report", "s3://"+bucket+"/base", "-o", "json")...)
	keepsToSchema(t, whole.stdout)
	if whole.code != 0 || !strings.Contains(whole.stdout, `"packing": "tar"`) || strings.Contains(whole.stdout, "unreadable") {
		t.Errorf("exit code %d: %s", whole.code, whole.stdout)
	}
	layout := archive.Layout{Base: "base", UID: d.runID(t, "base")}
	if err := os.WriteFile(d.Path(bucket, layout.ManifestKey(0, 0)), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := work(t, d.reported("report", "s3://"+bucket+"/base", "-o", "json", "--from-manifests")...)
	keepsToSchema(t, r.stdout)
	if r.code != 1 || !strings.Contains(r.stdout, `"unreadable": [`) || !strings.Contains(r.stderr, "cargoship verify") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}
