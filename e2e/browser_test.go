package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// chromium is Debian's.
const chromium = "/usr/bin/chromium"

// browser is Chromium, driven by console/driver.js. It does one thing at a time.
type browser struct {
	stdin   io.WriteCloser
	answers *bufio.Reader
}

// startBrowser starts one, which ends with the test, or with its standard input when the test dies.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	if _, err := os.Stat(chromium); err != nil {
		t.Fatalf("needs Debian's chromium (make test-e2e installs it): %v", err)
	}
	node, err := filepath.Abs("../.cache/node/bin/node")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(node); err != nil {
		t.Fatalf("needs the Node.js that the console is built with (make console finds or fetches it): %v", err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(node, "console/driver.js")
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium, "HOME="+t.TempDir())
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the browser did not end cleanly: %v\n%s", err, stderr.String())
		}
	})
	return &browser{stdin: stdin, answers: bufio.NewReader(stdout)}
}

// maxPage is how much of a page, in bytes, a test shows that failed on it.
const maxPage = 12_000

// do has the driver do one thing, and decodes what came of it into out, if not nil.
func (b *browser) do(out any, person, verb string, more map[string]any) error {
	request := map[string]any{"person": person, "verb": verb}
	maps.Copy(request, more)
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := b.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("tell the driver: %w", err)
	}
	line, err = b.answers.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("hear from the driver: %w", err)
	}
	var answer struct {
		Result json.RawMessage
		Error  string
		Page   string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("understand the driver: %w in %s", err, line)
	}
	if answer.Error != "" {
		if len(answer.Page) > maxPage {
			answer.Page = answer.Page[:maxPage] + "\n…"
		}
		return fmt.Errorf("%s\nThe page was:\n%s", answer.Error, answer.Page)
	}
	if out == nil || len(answer.Result) == 0 {
		return nil
	}
	return json.Unmarshal(answer.Result, out)
}

// person is somebody at the console, with a browser profile of their own. Every wait of theirs is for a
// condition; a step that cannot be done ends the test, which then shows the page as a screen reader has it.
type person struct {
	b       *browser
	name    string
	url     string   // of the console, without a fragment
	expects []string // parts of problems that belong to what the test does
}

// window is what the person sits at. The zero value is a light one of 1,280 by 900 pixels.
type window struct {
	width, height int
	dark          bool
}

// signIn opens the console by the one-time link that `sallyport console` prints. When the test ends, nothing
// must have gone wrong in the browser, and no key may stand outside of the page's memory.
func (b *browser) signIn(t *testing.T, d *dev, name string, w window) *person {
	t.Helper()
	p := b.open(t, d, name, d.consoleLink(t), w)
	p.see(t, heading("Security Groups"))
	if at := p.address(t); strings.Contains(at, "token") {
		t.Errorf("the one-time link is still in the address: %s", at)
	}
	return p
}

// open opens an address of the console.
func (b *browser) open(t *testing.T, d *dev, name, url string, w window) *person {
	t.Helper()
	p := &person{b: b, name: name, url: "http://" + d.listen + "/"}
	// Chromium drops what is under way when the machine gets another address, as by a lab guest's bridge; the page asks again.
	p.expect("net::ERR_NETWORK_CHANGED")
	args := map[string]any{"url": url, "dark": w.dark}
	if w.width > 0 {
		args["width"], args["height"] = w.width, w.height
	}
	p.must(t, nil, "open", args)
	t.Cleanup(func() {
		p.wellBehaved(t)
		if err := b.do(nil, p.name, "leave", nil); err != nil {
			t.Errorf("%s closes the browser: %v", p.name, err)
		}
	})
	return p
}

// consoleLink is a link that signs an administrator in, once.
func (d *dev) consoleLink(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(sallyport, "console", "--data-dir", d.dir).Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			out = append(out, exit.Stderr...)
		}
		t.Fatalf("sallyport console: %v\n%s", err, out)
	}
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "http") && strings.Contains(word, "#token=") {
			return word
		}
	}
	t.Fatalf("sallyport console prints no link with #token=: %s", out)
	return ""
}

// wellBehaved checks that the browser had nothing to complain of, and that the keys of the session are in
// the page's memory alone.
func (p *person) wellBehaved(t *testing.T) {
	t.Helper()
	var problems []string
	p.must(t, &problems, "problems", nil)
problem:
	for _, problem := range problems {
		for _, expected := range p.expects {
			if strings.Contains(problem, expected) {
				continue problem
			}
		}
		t.Errorf("%s's browser: %s", p.name, problem)
	}
	var keys struct {
		Known int
		Leaks []string
	}
	p.must(t, &keys, "leaks", nil)
	if len(keys.Leaks) > 0 {
		t.Errorf("keys of %s's session stand outside of the page's memory: %s", p.name, keys.Leaks)
	}
}

// expect says which problems belong to what the test does, such as those of a server that is away.
func (p *person) expect(parts ...string) { p.expects = append(p.expects, parts...) }

func (p *person) try(out any, verb string, more map[string]any) error {
	return p.b.do(out, p.name, verb, more)
}

func (p *person) must(t *testing.T, out any, verb string, more map[string]any) {
	t.Helper()
	start := time.Now()
	if err := p.try(out, verb, more); err != nil {
		t.Fatalf("%s: %s %v: %v", p.name, verb, more, err)
	}
	if took := time.Since(start); testing.Verbose() && took > 2*time.Second {
		t.Logf("%s: %s %v took %v", p.name, verb, more, took.Round(time.Millisecond))
	}
}

func at(e element) map[string]any { return map[string]any{"at": e} }

// What people do.

// visit goes to a page by its address, as a bookmark would.
func (p *person) visit(t *testing.T, hash string) {
	t.Helper()
	p.must(t, nil, "goto", map[string]any{"url": p.url + hash})
}

func (p *person) click(t *testing.T, e element) {
	t.Helper()
	p.must(t, nil, "click", at(e))
}

func (p *person) rightClick(t *testing.T, e element) {
	t.Helper()
	p.must(t, nil, "rightClick", at(e))
}

// fill replaces what stands in a field.
func (p *person) fill(t *testing.T, e element, text string) {
	t.Helper()
	p.must(t, nil, "fill", map[string]any{"at": e, "text": text})
}

// choose opens a selection and takes one of its options.
func (p *person) choose(t *testing.T, e, option element) {
	t.Helper()
	p.click(t, e)
	p.click(t, option)
}

// press presses keys, one after the other.
func (p *person) press(t *testing.T, keys ...string) {
	t.Helper()
	p.must(t, nil, "press", map[string]any{"keys": keys})
}

// write types into what has the focus.
func (p *person) write(t *testing.T, text string) {
	t.Helper()
	p.must(t, nil, "type", map[string]any{"text": text})
}

// What people see.

// see waits until something is there.
func (p *person) see(t *testing.T, e element) {
	t.Helper()
	p.must(t, nil, "see", at(e))
}

// gone waits until something is not there.
func (p *person) gone(t *testing.T, e element) {
	t.Helper()
	p.must(t, nil, "gone", at(e))
}

// focused is what has the focus: its role and name.
func (p *person) focused(t *testing.T) (what string) {
	t.Helper()
	p.must(t, &what, "focused", nil)
	return what
}

// address is what stands in the address bar.
func (p *person) address(t *testing.T) (url string) {
	t.Helper()
	p.must(t, &url, "url", nil)
	return url
}

// element names something on the page, as a screen reader has it. Only what is visible counts.
type element struct {
	Role  string   `json:"role,omitempty"`  // with Name: a part of the accessible name
	Name  string   `json:"name,omitempty"`  //
	Label string   `json:"label,omitempty"` // or the label of a field
	Text  string   `json:"text,omitempty"`  // or text
	CSS   string   `json:"css,omitempty"`   // or a selector, for what has no name
	Has   []string `json:"has,omitempty"`   // and these texts in it
	Exact bool     `json:"exact,omitempty"` // the whole name
	Nth   *int     `json:"nth,omitempty"`   // of several, from 0
	In    *element `json:"in,omitempty"`    // only inside that
}

func button(name string) element   { return element{Role: "button", Name: name} }
func heading(name string) element  { return element{Role: "heading", Name: name} }
func menuItem(name string) element { return element{Role: "menuitem", Name: name} }
func option(name string) element   { return element{Role: "option", Name: name} }
func tabNamed(name string) element { return element{Role: "tab", Name: name} }
func dialog(name string) element   { return element{Role: "dialog", Name: name} }
func row(has string) element       { return element{Role: "row", Has: []string{has}} }
func textbox(name string) element  { return element{Role: "textbox", Name: name} }
func combobox(name string) element { return element{Role: "combobox", Name: name} }
func field(label string) element   { return element{Label: label} }
func text(s string) element        { return element{Text: s} }

func (e element) in(outer element) element { e.In = &outer; return e }
func (e element) nth(n int) element        { e.Nth = &n; return e }
func (e element) exactly() element         { e.Exact = true; return e }
func (e element) with(has string) element {
	e.Has = append(slices.Clip(e.Has), has)
	return e
}
