package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	const page = "what it costs\tns\tmore|less\t\nnone\t757\t\t\nSallyport\t788\t+31\t\n\n\n" +
		"bridged: min – max\tns\t\nnone\t7 – 8\t\n\nOf three runs.\n"
	var text strings.Builder
	writeText(&text, page)
	if want := "none           757"; !strings.Contains(text.String(), want) {
		t.Errorf("text:\n%s\nwant it to contain %q", text.String(), want)
	}
	const docs = "# Costs\n<!-- bench packets -->\nold\n<!-- end of bench packets -->\nafter\n"
	const want = `# Costs
<!-- bench packets -->

| what it costs | ns | more\|less |
|---|---:|---:|
| none | 757 |  |
| Sallyport | 788 | +31 |

<details><summary>bridged: min – max</summary>

| bridged: min – max | ns |
|---|---:|
| none | 7 – 8 |

</details>

Of three runs.

<!-- end of bench packets -->
after
`
	got, err := replaceBetween(docs, "packets", page)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again, err := replaceBetween(got, "packets", page); err != nil || again != got {
		t.Errorf("the second time: %v, got\n%s\nwant no change", err, again)
	}
	for _, broken := range []string{"", "<!-- bench packets -->\n", strings.Replace(docs, "end of", "end", 1)} {
		if got, err := replaceBetween(broken, "packets", page); err == nil {
			t.Errorf("in %q: got %q, want an error", broken, got)
		}
	}
}

// TestDocs holds the page of the documentation against what a run puts into it.
func TestDocs(t *testing.T) {
	const file = "../../docs/benchmarks.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if _, err := replaceBetween(string(b), p.name, ""); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, image := range regexp.MustCompile(`\]\((images/[^)]+)\)`).FindAllStringSubmatch(string(b), -1) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), image[1])); err != nil {
			t.Error(err)
		}
	}
}
