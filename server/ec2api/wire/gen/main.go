// Gen turns the interface descriptions *.api of the folder that it runs in into Go: types, form decoders, XML encoders,
// and a registry; and into TypeScript: the types of the services that have the caller's side. The head of ec2.api
// explains their format. go generate runs it; it writes NAME_gen.go beside each NAME.api, registry_gen.go, and the
// TypeScript where its argument says.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FILE.ts")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run writes the TypeScript to the file that typescript names.
func run(typescript string) error {
	paths, err := filepath.Glob("*.api") // sorted
	if err != nil {
		return err
	}
	d := &description{structs: map[string]*structure{}}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := d.parse(strings.TrimSuffix(path, ".api"), bytes.NewReader(text)); err != nil {
			return err
		}
	}
	if err := d.resolve(); err != nil {
		return err
	}
	out := map[string]func(*emitter){"registry_gen.go": func(e *emitter) { e.registry(d) }}
	for _, f := range d.files {
		out[f.name+"_gen.go"] = func(e *emitter) { e.file(d, f) }
	}
	for name, emit := range out {
		src, err := render(emit)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(name, src, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(typescript, d.typescript(), 0o644)
}
