package view

import (
	"strings"

	"github.com/rivo/uniseg"

	"cargoship.dev/operator/internal/explain"
)

// Answer shows what limits a run: one sentence, the evidence, what to do.
func Answer(item Item, t Terminal) string {
	var out strings.Builder
	a := item.Answer
	word := string(a.LimitedBy)
	for i, l := range t.wrap(t.safe(item.Run.Title())+": "+word+". "+t.safe(a.Sentence), "") {
		if i == 0 {
			l = strings.Replace(l, word, t.paint(bold, word), 1)
		}
		out.WriteString(l + "\n")
	}
	if len(a.Evidence) > 0 {
		out.WriteString("\n" + evidence(a.Evidence, t))
	}
	if a.Advice != "" {
		out.WriteString("\n" + strings.Join(t.wrap(t.safe(a.Advice), ""), "\n") + "\n")
	}
	return out.String()
}

// evidence is a table where there is room for one, otherwise a list.
func evidence(facts []explain.Fact, t Terminal) string {
	var rows [][]cell
	name, value := 0, 0
	for _, f := range facts {
		row := texts(f.Name, t.safe(f.Value))
		name, value = max(name, len(f.Name)), max(value, uniseg.StringWidth(row[1].text))
		rows = append(rows, row)
	}
	if t.Width == 0 || name+len(gap)+value <= t.Width {
		return t.table([]column{{title: "EVIDENCE"}, {}}, rows)
	}
	var out strings.Builder
	for _, row := range rows {
		out.WriteString(strings.Join(t.wrap(row[0].text+": "+row[1].text, ""), "\n") + "\n")
	}
	return out.String()
}
