package report

import (
	"fmt"
	"html/template"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/estimate"
)

// row is a line of the report: what, and how much.
type row struct{ What, Is string }

// rows are the figures of the report.
func (r Report) rows() []row {
	all := []row{
		{"run", r.title()}, {"written", r.Written.Format(time.RFC3339)}, {"read from", r.From}, {"packing", r.Packing},
		{"planned", count(r.Planned)}, {"done", count(r.Done)}, {"of these unchanged", count(r.Kept)},
		{"failed", count(r.Failed)}, {"skipped", count(r.Skipped)},
		{"objects", fmt.Sprintf("%d, %s", r.Stored.Objects, convert.Bytes(r.Stored.Bytes))},
	}
	if r.Partial {
		all = append(all, row{"stopped", "before all of the source was planned or sent"})
	}
	if f := r.Fleet; f != nil {
		if f.Outcome != "" {
			all = append(all, row{"outcome", plain(f.Outcome) + ": " + strconv.QuoteToGraphic(f.Message)})
		}
		all = append(all, row{"from, to", f.Started.Format(time.RFC3339) + ", " + f.Ended.Format(time.RFC3339)},
			row{"duration", (time.Duration(f.Seconds) * time.Second).String()},
			row{"throughput", convert.Bytes(f.BytesPerSecond) + "/s"},
			row{"workers", fmt.Sprintf("%d, of which %d pods failed and were replaced", f.Workers, f.WorkersFailed)})
	}
	if s := r.Sending; s != nil {
		all = append(all, s.rows()...)
	}
	if c := r.Costs; c != nil {
		all = append(all, row{"costs in " + c.Class, fmt.Sprintf("%s %s once, %s a month, %s for %g months, at prices of %s",
			estimate.Amount(c.Requests+c.KMS), c.Currency, estimate.Amount(c.Month), estimate.Amount(c.Total), c.Months, c.Date)})
	}
	return all
}

func (r Report) title() string {
	if r.Name == "" {
		return r.Run
	}
	if r.Namespace != "" {
		return r.Namespace + "/" + r.Name + " (" + r.Run + ")"
	}
	return r.Name + " (" + r.Run + ")"
}

func count(c archive.Count) string {
	return fmt.Sprintf("%d files, %s", c.Files, convert.Bytes(c.Bytes))
}

// Text writes the report as lines. What does not print is escaped.
func (r Report) Text(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, x := range r.rows() {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", x.What, x.Is)
	}
	for _, x := range r.Reasons {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d files\n", x.Outcome, plain(x.Reason), x.Files)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	for _, x := range r.Failures {
		if _, err := fmt.Fprintln(w, x.line()); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
	}
	for _, text := range r.Unreadable {
		if _, err := fmt.Fprintf(w, "unreadable: %s\n", strconv.QuoteToGraphic(text)); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
	}
	return nil
}

// line is the failure in one line.
func (f Failure) line() string {
	path := f.Path
	if f.PathBase64 != nil {
		path = string(f.PathBase64)
	}
	text := "failed: " + strconv.QuoteToGraphic(path) + ": " + plain(f.Reason)
	if f.Message != "" {
		text += ": " + strconv.QuoteToGraphic(f.Message)
	}
	return text
}

// plain returns a word as it is, and quoted if it is not one that prints.
func plain(word string) string {
	if quoted := strconv.QuoteToGraphic(word); quoted != `"`+word+`"` {
		return quoted
	}
	return word
}

// page is the report to read, without scripts or anything from elsewhere.
const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top;overflow-wrap:anywhere}
thead th{border-bottom:1px solid}td.n{text-align:right}</style></head><body>
<h1>{{.Title}}</h1>
<table><tbody>{{range .Rows}}<tr><th scope="row">{{.What}}</th><td>{{.Is}}</td></tr>
{{end}}</tbody></table>
{{with .Sending}}{{if .Curve.Line}}<figure><svg viewBox="0 0 1000 120" role="img" aria-label="Bytes sent over time" width="100%" height="120" preserveAspectRatio="none">
<polyline points="{{.Curve.Line}}" fill="none" stroke="currentColor" vector-effect="non-scaling-stroke"/></svg>
<figcaption>Bytes sent over time, in {{len .Curve.Bytes}} intervals of {{.Curve.SecondsEach}} s</figcaption></figure>{{end}}{{end}}
{{if .Reasons}}<h2>Reasons</h2><table><thead><tr><th scope="col">outcome</th><th scope="col">reason</th><th scope="col">files</th></tr></thead><tbody>
{{range .Reasons}}<tr><td>{{.Outcome}}</td><td>{{.Reason}}</td><td class="n">{{.Files}}</td></tr>
{{end}}</tbody></table>{{end}}
{{if .Failures}}<h2>Failed files</h2><table><thead><tr><th scope="col">path</th><th scope="col">reason</th><th scope="col">message</th></tr></thead><tbody>
{{range .Failures}}<tr><td>{{.Path}}</td><td>{{.Reason}}</td><td>{{.Message}}</td></tr>
{{end}}</tbody></table>{{end}}
{{if .Unreadable}}<h2>Manifests that can't be read</h2><ul>{{range .Unreadable}}<li>{{.}}</li>{{end}}</ul>{{end}}
</body></html>
`

// HTML writes the report as a page.
func (r Report) HTML(w io.Writer) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return fmt.Errorf("read the template of the report: %w", err)
	}
	if err := t.Execute(w, struct {
		Report
		Title string
		Rows  []row
	}{r, "Report of " + r.title(), r.rows()}); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
