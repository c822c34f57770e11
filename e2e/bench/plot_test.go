package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestChart(t *testing.T) {
	c := chart{Title: `One & "two"`, Note: "<none>", Panels: []panel{
		{Title: "IPv4", Unit: "ns", Most: 100, Bars: []bar{{Name: "none", Value: 50, Low: 40, High: 60}, {Name: "many", Value: 5000, Low: 4000, High: 6000, Ours: true}}},
		{Title: "IPv6", Unit: "ns", Bars: []bar{{Name: "none"}}},
		{Title: "empty", Unit: "ns"},
	}}
	svg := c.svg()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
			t.Error("it has a script")
		}
	}
	for _, want := range []string{
		`width="110.0"`, // half of 220
		`width="220.0"`, // cut
		"⋯ 5000", "prefers-color-scheme: dark", "One &amp;",
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("found no %s in\n%s", want, svg)
		}
	}
}
