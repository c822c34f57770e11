package ec2api_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

var actionName = regexp.MustCompile("`([A-Z][A-Za-z0-9]+)`")

// The first column of docs/api.md's tables names every action that is served, once, and no other.
func TestDocumentedActions(t *testing.T) {
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, begun := strings.Cut(string(page), "\n## The actions\n")
	text, _, ended := strings.Cut(text, "\n## ")
	if !begun || !ended {
		t.Fatal("docs/api.md has no chapter about the actions")
	}
	named := map[string]int{}
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range actionName.FindAllStringSubmatch(cells[1], -1) {
				named[m[1]]++
			}
		}
	}
	var wrong []string
	for name, times := range named {
		if wire.Operations[name] == nil || times != 1 {
			wrong = append(wrong, name+" is named, but not served; or named twice")
		}
	}
	for name := range wire.Operations {
		if named[name] == 0 {
			wrong = append(wrong, name+" is served, but not named")
		}
	}
	slices.Sort(wrong)
	for _, w := range wrong {
		t.Errorf("docs/api.md: %s", w)
	}
}
