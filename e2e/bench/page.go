package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// What parts print is paragraphs and tables with an empty line between them. A table is lines of cells
// that a tab ends; the first line is its head.

// minMax ends the title of a table that only shows how far values lie apart: Markdown folds it away.
const minMax = ": min – max"

// writeText writes them for a terminal.
func writeText(to io.Writer, page string) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n\n", strings.Trim(page, "\n"))
	_ = w.Flush()
}

// markdown is the same as Markdown.
func markdown(page string) string {
	var out strings.Builder
	for block := range strings.SplitSeq(page, "\n\n") {
		if block = strings.Trim(block, "\n"); block == "" {
			continue
		}
		out.WriteByte('\n')
		if !strings.Contains(block, "\t") {
			out.WriteString(block + "\n")
			continue
		}
		title, _, _ := strings.Cut(block, "\t")
		spread := strings.HasSuffix(title, minMax)
		if spread {
			fmt.Fprintf(&out, "<details><summary>%s</summary>\n\n", title)
		}
		for i, line := range strings.Split(block, "\n") {
			cells := strings.Split(strings.TrimSuffix(line, "\t"), "\t")
			for j, c := range cells {
				cells[j] = strings.ReplaceAll(strings.TrimSpace(c), "|", `\|`)
			}
			fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | "))
			if i == 0 {
				fmt.Fprintf(&out, "|---|%s\n", strings.Repeat("---:|", len(cells)-1))
			}
		}
		if spread {
			out.WriteString("\n</details>\n")
		}
	}
	return out.String()
}

// intoDocs replaces what file has between the markers of a part by its page, under the run's header.
func (r *report) intoDocs(file, name, page string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := replaceBetween(string(b), name, r.header()+"\n"+page)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// replaceBetween puts a page between the markers of its name in a text of Markdown.
func replaceBetween(text, name, page string) (string, error) {
	begin, end := fmt.Sprintf("<!-- bench %s -->\n", name), fmt.Sprintf("\n<!-- end of bench %s -->", name)
	before, rest, found := strings.Cut(text, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("found no lines %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + markdown(page) + end + after, nil
}
