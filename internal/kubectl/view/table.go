package view

import (
	"slices"
	"strings"

	"github.com/rivo/uniseg"
)

// gap is between columns.
const gap = "   "

// narrow is the least that a column that may be cut keeps.
const narrow = 8

// column of a table. Where the terminal is too narrow, columns of a higher rank go first.
type column struct {
	title string
	rank  int
	// flexible: its cells may be cut; right: they are aligned to the right.
	flexible, right bool
}

// cell is a text, safe already, and its color.
type cell struct {
	text  string
	style style
}

// table aligns rows under titles, within the terminal.
func (t Terminal) table(columns []column, rows [][]cell) string {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = len(c.title)
		for _, row := range rows {
			widths[i] = max(widths[i], uniseg.StringWidth(row[i].text))
		}
	}
	shown := t.fit(columns, widths)
	var out strings.Builder
	titles := make([]cell, len(columns))
	for i, c := range columns {
		titles[i] = cell{c.title, bold}
	}
	for _, row := range slices.Concat([][]cell{titles}, rows) {
		out.WriteString(strings.TrimRight(t.row(columns, widths, shown, row), " ") + "\n")
	}
	return out.String()
}

func (t Terminal) row(columns []column, widths, shown []int, row []cell) string {
	var line strings.Builder
	for n, i := range shown {
		text := t.squeeze(row[i].text, widths[i])
		padding := strings.Repeat(" ", widths[i]-uniseg.StringWidth(text))
		painted := t.paint(row[i].style, text)
		switch last := n == len(shown)-1; {
		case columns[i].right:
			line.WriteString(padding + painted)
		case last:
			line.WriteString(painted)
		default:
			line.WriteString(painted + padding)
		}
		if n < len(shown)-1 {
			line.WriteString(gap)
		}
	}
	return line.String()
}

// fit chooses the columns that are shown, and cuts the widths of flexible ones.
func (t Terminal) fit(columns []column, widths []int) (shown []int) {
	for i := range columns {
		shown = append(shown, i)
	}
	if t.Width == 0 {
		return shown
	}
	for {
		excess := -t.Width - len(gap)
		for _, i := range shown {
			excess += widths[i] + len(gap)
		}
		for _, i := range shown {
			if spare := widths[i] - narrow; excess > 0 && columns[i].flexible && spare > 0 {
				// What goes next is less than what is cut here, or nothing.
				cutBy := min(spare, excess)
				if cutBy < excess && len(shown) > 1 {
					continue
				}
				widths[i] -= cutBy
				excess -= cutBy
			}
		}
		if excess <= 0 || len(shown) == 1 {
			return shown
		}
		last := slices.MaxFunc(shown, func(a, b int) int { return columns[a].rank - columns[b].rank })
		shown = slices.DeleteFunc(shown, func(i int) bool { return i == last })
	}
}
