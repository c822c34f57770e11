package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpToDate: generating again changes no byte.
func TestUpToDate(t *testing.T) {
	descriptions, err := filepath.Glob("../*.api")
	if err != nil || len(descriptions) == 0 {
		t.Fatalf("descriptions: %v, %v", descriptions, err)
	}
	want := map[string][]byte{}
	generated, err := filepath.Glob("../*_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range generated {
		if want[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	const typescript = "sallyport_gen.ts"
	if want[typescript], err = os.ReadFile("../../../../console/src/api/" + typescript); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, path := range descriptions {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	if err := run(typescript); err != nil {
		t.Fatal(err)
	}
	got, err := filepath.Glob("*_gen.*")
	if err != nil || len(got) != len(want) {
		t.Errorf("%d files are generated, %d are there (%v)", len(got), len(want), err)
	}
	for _, name := range got {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, want[name]) {
			t.Errorf("%s is not what the descriptions say: run go generate", name)
		}
	}
}

const head = "service a\nversion 2026-01-01\nnamespace n\n"

func TestRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"op A":                                    "x.api:1: \"op\" before the line that names the service",
		"service a\nop A":                         "service a has no version or namespace",
		"service":                                 "x.api:1: service of what?",
		head + "style smithy":                     `x.api:4: unknown style "smithy"`,
		head + "operation A":                      `x.api:4: unknown line "operation"`,
		head + "op":                               "x.api:4: want op NAME",
		head + "op A limit=3":                     `x.api:4: unknown fact "limit=3" of an operation`,
		head + "\tA":                              "x.api:4: a member outside of op and type",
		head + "op A\nop A":                       "x.api:5: ARequest is already declared at x.api:4",
		head + "op A\n\tB C":                      `x.api:4: ARequest.B: no type "C"`,
		head + "op A\n\tB integer":                `x.api:5: unknown fact "integer"`,
		head + "op A\n\tB\n\tB int":               "x.api:6: ARequest has B twice",
		head + "op A\n\tB always=true":            `x.api:5: unknown fact "always=true"`,
		head + "op A\n\tB in":                     `x.api:5: unknown fact "in"`,
		head + "op A\n\tB min=1":                  "x.api:5: min and max are for int and long",
		head + "op A\n\tB int min=x":              `x.api:5: strconv.ParseInt: parsing "x": invalid syntax`,
		head + "op A\n\tB int enum=1|2":           "x.api:5: enum is for strings",
		head + "op A\n\tB int sensitive":          "x.api:5: sensitive is for a string or a blob",
		head + "op A\n\tB always":                 "x.api:5: always is for lists",
		head + "op A\n\tB []blob":                 "x.api:5: no list of blobs so far",
		head + "op A\n\t=>\n\t=>":                 "x.api:6: => belongs into an operation, once",
		head + "type T\n\t=>":                     "x.api:5: => belongs into an operation, once",
		head + "op A\n\t=> T":                     `x.api:4: no type "T"`,
		head + "op A\ntype T\n\tB":                "x.api:5: nothing uses type T",
		head + "op T\n\tB T\ntype T":              "x.api:4: the name T is taken",
		head + "op A paged=B\n\t=>\n\tB []string": "x.api:4: a paged operation needs NextToken, MaxResults, and the list B",
		head + "style query\nop A\n\tB []string":  "x.api:5: ARequest.B: style query knows no lists here",
	} {
		d := &description{structs: map[string]*structure{}}
		err := d.parse("x", strings.NewReader(text))
		if err == nil {
			err = d.resolve()
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestTypeScript: only what the caller's side needs is written, with the names and places that each of both sides has.
func TestTypeScript(t *testing.T) {
	const text = `service other
version 2026-01-01
namespace n
op Unseen
service a
version 2026-02-02
namespace n
client
# Finds things.
op FindThings
	Kind enum=big|small
	Owners []Owner
	Since time required
	=>
	Count long
	Owners []Owner out=owners
	Things []Thing
op Stop
type Owner
	Name in=OwnerName
	Tags []string
# A thing
# of some kind.
type Thing
	Content blob
	Parts []long
`
	d := &description{structs: map[string]*structure{}}
	if err := d.parse("x", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if err := d.resolve(); err != nil {
		t.Fatal(err)
	}
	got := string(d.typescript())
	for _, want := range []string{
		"export const Version = '2026-02-02';\n",
		"  /** Finds things. */\n  FindThings: { request: FindThingsRequest; result: FindThingsResult };\n  Stop:",
		"  Kind?: 'big' | 'small' | undefined;\n  Owners?: Owner[] | undefined;\n  Since: Date;\n}",
		"  Count?: number | undefined;\n  Owners: Owner[];\n  Things: Thing[];\n}",
		"export interface Owner {\n  Name?: string | undefined;\n  Tags?: string[] | undefined;\n}", // in requests, too
		"export type StopRequest = Record<string, never>;\n",
		"/**\n * A thing\n * of some kind.\n */\nexport interface Thing {\n  Content?: Uint8Array | undefined;\n  Parts: number[];\n}",
		"  FindThingsRequest: [\n    ['Kind', 's', 'Kind', ''],\n    ['Owners', '[]Owner', 'Owner', ''],\n    ['Since', 't', 'Since', ''],\n  ],\n",
		"  FindThingsResult: [\n    ['Count', 'n', '', 'count'],\n    ['Owners', '[]Owner', '', 'owners'],\n    ['Things', '[]Thing', '', 'thingSet'],\n  ],\n",
		"  Owner: [\n    ['Name', 's', 'OwnerName', 'name'],\n    ['Tags', '[]s', 'Tag', 'tagSet'],\n  ],\n",
		"  StopRequest: [\n  ],\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not in the TypeScript: %s", want)
		}
	}
	if strings.Contains(got, "Unseen") {
		t.Error("an operation of a service without the caller's side is in the TypeScript")
	}
	if t.Failed() {
		t.Log(got)
	}
}
