package ec2api_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/sallyport/sallyport/feed"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

var update = flag.Bool("update", false, "write what was answered into testdata/*.txtar")

// TestGolden plays the sessions of testdata/*.txtar. A file is one endpoint, from its first start on;
// testdata/README says what may stand in it. Beyond what the file says, a call that is refused must
// leave the whole state as it was.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			golden(t, file, newEndpoint(t), *update)
		})
	}
}

// TestGoldenOnTwoServers plays them to two servers by turns, which answer to the letter as one does.
func TestGoldenOnTwoServers(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			golden(t, file, newTwoServers(t), false)
		})
	}
}

func golden(t *testing.T, file string, e *endpoint, update bool) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse(want)
	got := &txtar.Archive{Comment: archive.Comment}
	add := func(name, data string) {
		if data != "" {
			got.Files = append(got.Files, txtar.File{Name: name, Data: []byte(data)})
		}
	}
	for _, section := range archive.Files {
		before := e.state()
		switch section.Name {
		case "request":
			add(section.Name, string(section.Data))
			status, body := e.play(string(section.Data))
			add("answer", fmt.Sprintf("%d\n%s", status, body))
			after := e.state()
			changed := difference(before, after)
			if status != http.StatusOK && (changed != "" || after.Revision() != before.Revision()) {
				t.Errorf("a refused call changed the state:\n%s%s", section.Data, changed)
			}
			add("change", changed)
		case "event":
			add(section.Name, string(section.Data))
			if err := e.happen(string(section.Data)); err != nil {
				add("refusal", err.Error()+"\n")
			}
			add("change", difference(before, e.state()))
		case "answer", "change", "refusal": // made anew above
		default:
			t.Fatalf("%s: unknown section %q", file, section.Name)
		}
	}
	now := txtar.Format(got)
	if string(now) == string(want) {
		return
	}
	if update {
		if err := os.WriteFile(file, now, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s: got something else (go test -run TestGolden -update writes it):\n%s", file, firstDifference(string(now), string(want)))
}

// play sends the request of a section: the action, then one parameter per line, unescaped.
func (e *endpoint) play(text string) (status int, answer string) {
	e.t.Helper()
	form := url.Values{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		name, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case ok:
			form.Add(name, value)
		case !form.Has("Action"):
			form.Set("Action", line)
		default:
			e.t.Fatalf("%q is not Name=Value", line)
		}
	}
	a := e.call(form)
	return a.status, indent(e.t, a.body)
}

// happen does what no client can: what hosts report. Each line is one event.
func (e *endpoint) happen(text string) error {
	e.t.Helper()
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if words[0] == "wait" {
			e.wait(words[1])
			continue
		}
		if words[0] == "counted" {
			e.counted(vpc.HostID(words[1]), words[2:])
			continue
		}
		words = append(words, "", "", "", "") // absent words are empty
		arg := words[1:]
		_, err := e.store.Update(e.t.Context(), func(s *vpc.State) (vpc.Change, error) {
			switch words[0] {
			case "host":
				return s.RegisterHost(e.env(), vpc.Host{ID: vpc.HostID(arg[0]), Lab: arg[1] == "lab"})
			case "bind":
				return s.Bind(e.env(), vpc.HostID(arg[0]), vpc.InterfaceID(arg[1]), arg[2], arg[3])
			case "unbind":
				return s.Unbind(e.env(), vpc.HostID(arg[0]), vpc.InterfaceID(arg[1]))
			case "running":
				return s.GuestRunning(e.env(), vpc.InstanceID(arg[0]))
			case "stopped":
				return s.GuestStopped(e.env(), vpc.InstanceID(arg[0]), strings.TrimSpace(strings.Join(arg[1:], " ")))
			case "in-force": // host, and how far it is behind the newest revision
				var behind int64
				if _, err := fmt.Sscan(arg[1], &behind); err != nil {
					e.t.Fatalf("in-force %s: %v", arg[1], err)
				}
				h := e.hosts[vpc.HostID(arg[0])]
				h.revision, h.connected, h.problem = s.Revision()-behind, true, strings.TrimSpace(strings.Join(arg[2:], " "))
				e.hosts[vpc.HostID(arg[0])] = h
			case "took":
				h := e.hosts[vpc.HostID(arg[0])]
				var err error
				if h.took, err = time.ParseDuration(arg[1]); err != nil {
					e.t.Fatal(err)
				}
				e.hosts[vpc.HostID(arg[0])] = h
			case "disconnected":
				h := e.hosts[vpc.HostID(arg[0])]
				e.hosts[vpc.HostID(arg[0])] = host{counters: h.counters, reported: h.reported}
			case "connection", "verdict", "silent":
				if err := e.asked.learn(words[0], strings.Fields(line)[1:]); err != nil {
					e.t.Fatalf("%s: %v", line, err)
				}
			default:
				e.t.Fatalf("unknown event %q", words[0])
			}
			return vpc.Change{}, nil
		})
		if refusal := (*vpc.Error)(nil); errors.As(err, &refusal) {
			return refusal
		} else if err != nil {
			e.t.Fatal(err)
		}
	}
	return nil
}

// counted adds to what a host said that it counted; testdata/README says how.
func (e *endpoint) counted(id vpc.HostID, words []string) {
	e.t.Helper()
	h := e.hosts[id]
	h.counters = maps.Clone(h.counters)
	if h.counters == nil {
		h.counters = feed.Counters{}
	}
	eni := vpc.InterfaceID(strings.TrimPrefix(words[0], "-"))
	counters := h.counters[eni]
	words = words[1:]
	now := e.clock()
	number := func(i int) uint64 {
		if i >= len(words) {
			e.t.Fatalf("counted %s: too short", words)
		}
		n, err := strconv.ParseUint(words[i], 10, 64)
		if err != nil {
			e.t.Fatal(err)
		}
		return n
	}
	direction := func(word string) ruleset.Direction {
		if word == "egress" {
			return ruleset.Egress
		}
		return ruleset.Ingress
	}
	reason := func(word string) ruleset.Reason {
		r, err := ruleset.ParseReason(word)
		if err != nil {
			e.t.Fatal(err)
		}
		return r
	}
	switch words[0] {
	case "rule":
		rules := maps.Clone(counters.Rules)
		if rules == nil {
			rules = map[uint32]feed.RuleCounter{}
		}
		rules[uint32(number(1))] = feed.RuleCounter{
			Packets: number(2), Bytes: number(3), Connections: number(4), First: now.Add(-time.Minute), Last: now,
		}
		counters.Rules = rules
	case "packets":
		d := &counters.Directions[direction(words[1])]
		d.Packets, d.Last = maps.Clone(d.Packets), maps.Clone(d.Last)
		if d.Packets == nil {
			d.Packets, d.Last = map[ruleset.Reason]uint64{}, map[ruleset.Reason]time.Time{}
		}
		d.Packets[reason(words[2])], d.Last[reason(words[2])] = number(3), now
	case "observed":
		counters.Directions[direction(words[1])].Observed = number(2)
	case "open":
		counters.Open = maps.Clone(counters.Open)
		if counters.Open == nil {
			counters.Open = map[uint32]uint64{}
		}
		counters.Open[uint32(number(1))] = number(2)
	case "untold":
		counters.LostEvents = number(1)
	case "sample":
		s := feed.DropSample{Direction: direction(words[1]), Reason: reason(words[2]), Count: number(3), Last: now, Observed: slices.Contains(words, "observed")}
		if len(words) > 6 {
			s.Protocol, s.Remote, s.Port = uint8(number(4)), netip.MustParseAddr(words[5]), uint16(number(6))
			s.Local = netip.MustParseAddr("172.31.0.10")
		}
		counters.Drops = append(slices.Clone(counters.Drops), s)
	default:
		e.t.Fatalf("counted %q", words)
	}
	h.counters[eni], h.reported = counters, now
	e.hosts[id] = h
}

// wait sets the clock forward.
func (e *endpoint) wait(text string) {
	e.t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		e.t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = e.now.Add(d)
}

// lines returns a State as lines that can be compared: kind, id, field, value; one per element of a
// list, by its id if it has one.
func lines(s *vpc.State) map[string]bool {
	out := map[string]bool{}
	for o := range s.Objects() {
		k := o.Key()
		head := fmt.Sprintf("%s %s ", k.Kind, k.ID)
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(o); err != nil {
			panic(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(b.Bytes(), &fields); err != nil {
			panic(err)
		}
		for name, value := range fields {
			var list []json.RawMessage
			if json.Unmarshal(value, &list) == nil {
				for i, v := range list {
					at := fmt.Sprint(i)
					var identified struct{ ID string }
					if json.Unmarshal(v, &identified) == nil && identified.ID != "" {
						at = identified.ID
					}
					out[fmt.Sprintf("%s%s[%s] %s", head, name, at, v)] = true
				}
				continue
			}
			out[head+name+" "+string(value)] = true
		}
	}
	return out
}

// difference returns the lines that are gone, marked -, and the new ones, marked +.
func difference(before, after *vpc.State) string {
	old, now := lines(before), lines(after)
	var out []string
	for l := range old {
		if !now[l] {
			out = append(out, "- "+l)
		}
	}
	for l := range now {
		if !old[l] {
			out = append(out, "+ "+l)
		}
	}
	slices.SortFunc(out, func(a, b string) int { // of one field, what was comes before what is
		field := func(l string) string { return strings.Join(strings.SplitN(l[2:], " ", 4)[:3], " ") }
		return cmp.Or(strings.Compare(field(a), field(b)), strings.Compare(b[:1], a[:1]))
	})
	if len(out) == 0 {
		return ""
	}
	return strings.Join(out, "\n") + "\n"
}

var tag = regexp.MustCompile(`<(/?)[^>]*?(/?)>`)

const prolog = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// indent puts every element that has elements on lines of its own, and leaves the prolog out. The
// XML has no white space between elements.
func indent(t testing.TB, text string) string {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the answer is not XML: %v\n%s", err, text)
		}
	}
	var b strings.Builder
	depth, opened := 0, false // opened: the last tag opened an element
	rest, ok := strings.CutPrefix(text, prolog)
	if !ok {
		t.Fatalf("the answer has no prolog:\n%s", text)
	}
	for _, at := range tag.FindAllStringSubmatchIndex(rest, -1) {
		name := rest[at[0]:at[1]]
		closing, alone := rest[at[2]:at[3]] == "/", at[4] != at[5]
		if closing {
			depth--
		}
		if !(closing && opened) && b.Len() > 0 {
			b.WriteString("\n" + strings.Repeat("\t", depth))
		}
		b.WriteString(name)
		opened = !closing && !alone
		if opened {
			depth++
			if end := strings.IndexByte(rest[at[1]:], '<'); end > 0 {
				b.WriteString(rest[at[1] : at[1]+end])
			}
		}
	}
	return b.String() + "\n"
}

// firstDifference shows where two texts part, with what precedes.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	n := 0
	for n < len(g) && n < len(w) && g[n] == w[n] {
		n++
	}
	from := max(n-10, 0)
	return fmt.Sprintf("line %d\n--- got\n%s\n--- want\n%s", n+1,
		strings.Join(g[from:min(n+10, len(g))], "\n"), strings.Join(w[from:min(n+10, len(w))], "\n"))
}
