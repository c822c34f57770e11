package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// description is what all *.api files together say.
type description struct {
	services []*service // in order of first mention
	structs  map[string]*structure
	files    []*file // in the order of the command line
}

// file is one *.api file and what it declares, in its order.
type file struct {
	name    string // without .api
	ops     []*operation
	structs []*structure
}

type service struct {
	name, version, namespace string
	anyVersion               bool // every well-formed date is accepted
	query                    bool // classic Query answers
	client                   bool // the caller's side is generated too
}

type operation struct {
	name    string
	service *service
	doc     []string
	paged   string // member of the result that is paged; empty: not paged
	in      *structure
	out     *structure // never nil; anonymous answers have no members
	bare    bool       // answers <return>true</return>
	shared  string     // name of the type that is the result, if it has no type of its own
}

type structure struct {
	name    string
	doc     []string
	about   string   // how the doc goes on after the name, if doc says nothing
	service *service // of the file; style query changes the default wire names
	members []*member
	where   string // file:line, for messages

	decoded, encoded bool // reachable from a request, from a result
	sent, parsed     bool // the same, for services with the caller's side
}

type member struct {
	name, kind string // kind: string, int, long, double, bool, time, blob, or the name of a structure
	list       bool
	doc        []string

	required, sensitive bool
	missing             string // what MissingParameter calls it; empty: the wire name
	always              bool   // a list that is written even when nil
	min, max            *int64
	enum                []string
	in                  []string // wire names in a request; never empty
	out                 string   // wire name in a result
	item                string   // and of each entry of a list there
}

var scalars = []string{"string", "int", "long", "double", "bool", "time", "blob"}

// parser reads one file; what it returns as errors starts with file:line.
type parser struct {
	d        *description
	f        *file
	services map[string]*service
	service  *service
	op       *operation
	struc    *structure // where members go
	doc      []string
}

// parse adds one file to d.
func (d *description) parse(name string, r io.Reader) error {
	p := &parser{d: d, f: &file{name: name}, services: map[string]*service{}}
	for _, s := range d.services {
		p.services[s.name] = s
	}
	d.files = append(d.files, p.f)
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		if err := p.line(sc.Text(), fmt.Sprintf("%s.api:%d", name, n)); err != nil {
			return fmt.Errorf("%s.api:%d: %w", name, n, err)
		}
	}
	return sc.Err()
}

func (p *parser) line(text, where string) error {
	trimmed := strings.TrimSpace(text)
	if comment, ok := strings.CutPrefix(trimmed, "#"); ok {
		p.doc = append(p.doc, strings.TrimSpace(comment))
		return nil
	}
	doc := p.doc
	p.doc = nil
	words := strings.Fields(trimmed)
	switch {
	case len(words) == 0:
		return nil
	case text[0] == '\t':
		return p.indented(words, doc)
	case p.service == nil && words[0] != "service":
		return fmt.Errorf("%q before the line that names the service", words[0])
	}
	switch words[0] {
	case "service", "version", "namespace", "style", "client":
		return p.header(words)
	case "op":
		return p.operation(words[1:], doc, where)
	case "type":
		if len(words) != 2 {
			return fmt.Errorf("want type NAME")
		}
		return p.declare(&structure{name: words[1], doc: doc, where: where})
	}
	return fmt.Errorf("unknown line %q", words[0])
}

func (p *parser) header(words []string) error {
	arg := ""
	if len(words) > 1 {
		arg = words[1]
	}
	if arg == "" && words[0] != "client" {
		return fmt.Errorf("%s of what?", words[0])
	}
	switch words[0] {
	case "service":
		if p.service = p.services[arg]; p.service == nil {
			p.service = &service{name: arg}
			p.services[arg] = p.service
			p.d.services = append(p.d.services, p.service)
		}
	case "version":
		p.service.version = arg
		p.service.anyVersion = len(words) > 2 && words[2] == "any"
	case "namespace":
		p.service.namespace = arg
	case "style":
		if arg != "query" {
			return fmt.Errorf("unknown style %q", arg)
		}
		p.service.query = true
	case "client":
		p.service.client = true
	}
	return nil
}

func (p *parser) operation(words, doc []string, where string) error {
	if len(words) == 0 {
		return fmt.Errorf("want op NAME")
	}
	op := &operation{name: words[0], service: p.service, doc: doc, bare: true}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		if key != "paged" || value == "" {
			return fmt.Errorf("unknown fact %q of an operation", w)
		}
		op.paged = value
	}
	op.in = &structure{name: op.name + "Request", where: where, about: "is the request of [" + op.name + "]."}
	op.out = &structure{name: op.name + "Result", where: where, about: "is the result of [" + op.name + "]."}
	if err := p.declare(op.in); err != nil {
		return err
	}
	p.f.ops = append(p.f.ops, op)
	p.op = op
	return nil
}

func (p *parser) declare(s *structure) error {
	if old := p.d.structs[s.name]; old != nil {
		return fmt.Errorf("%s is already declared at %s", s.name, old.where)
	}
	s.service = p.service
	p.d.structs[s.name] = s
	p.f.structs = append(p.f.structs, s)
	p.op, p.struc = nil, s
	return nil
}

// indented reads a member, or the arrow between request and result.
func (p *parser) indented(words, doc []string) error {
	switch {
	case p.struc == nil:
		return fmt.Errorf("a member outside of op and type")
	case words[0] != "=>":
		m, err := p.member(words, doc)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(p.struc.members, func(o *member) bool { return o.name == m.name }) {
			return fmt.Errorf("%s has %s twice", p.struc.name, m.name)
		}
		p.struc.members = append(p.struc.members, m)
		return nil
	case p.op == nil || !p.op.bare:
		return fmt.Errorf("=> belongs into an operation, once")
	}
	op := p.op
	op.bare = false
	if len(words) > 1 {
		op.shared = words[1]
		p.struc = nil
		return nil
	}
	err := p.declare(op.out)
	p.op = op
	return err
}

func (p *parser) member(words, doc []string) (*member, error) {
	m := &member{name: words[0], kind: "string", item: "item", doc: doc}
	words = words[1:]
	if len(words) > 0 && isType(words[0]) {
		m.kind, m.list = strings.CutPrefix(words[0], "[]")
		words = words[1:]
	}
	for _, w := range words {
		if err := m.fact(w); err != nil {
			return nil, err
		}
	}
	if (m.min != nil || m.max != nil) && (m.list || m.kind != "int" && m.kind != "long") {
		return nil, fmt.Errorf("min and max are for int and long")
	}
	if m.list && m.kind == "blob" {
		return nil, fmt.Errorf("no list of blobs so far")
	}
	if m.enum != nil && (m.list || m.kind != "string") {
		return nil, fmt.Errorf("enum is for strings")
	}
	if m.sensitive && (m.list || m.kind != "string" && m.kind != "blob") {
		return nil, fmt.Errorf("sensitive is for a string or a blob")
	}
	if m.always && !m.list {
		return nil, fmt.Errorf("always is for lists")
	}
	stem, plural := strings.CutSuffix(m.name, "s")
	if m.in == nil {
		m.in = []string{m.name}
		if m.list && plural {
			m.in[0] = stem
		}
	}
	if m.out == "" {
		switch {
		case p.service.query:
			m.out = m.name
		case m.list && plural:
			m.out = lowerFirst(stem) + "Set"
		default:
			m.out = lowerFirst(m.name)
		}
	}
	return m, nil
}

// isType tells a type from a fact: types of this description start with a capital.
func isType(w string) bool {
	base, list := strings.CutPrefix(w, "[]")
	return list || slices.Contains(scalars, base) || base[0] >= 'A' && base[0] <= 'Z'
}

func (m *member) fact(w string) error {
	flags := map[string]*bool{"required": &m.required, "sensitive": &m.sensitive, "always": &m.always}
	if flag := flags[w]; flag != nil {
		*flag = true
		return nil
	}
	key, value, _ := strings.Cut(w, "=")
	if value == "" {
		return fmt.Errorf("unknown fact %q", w)
	}
	number := func() (*int64, error) {
		n, err := strconv.ParseInt(value, 10, 64)
		return &n, err
	}
	var err error
	switch key {
	case "required":
		m.required, m.missing = true, value
	case "min":
		m.min, err = number()
	case "max":
		m.max, err = number()
	case "enum":
		m.enum = strings.Split(value, "|")
	case "in":
		m.in = strings.Split(value, "|")
	case "out":
		m.out = value
	case "item":
		m.item = value
	default:
		return fmt.Errorf("unknown fact %q", w)
	}
	return err
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// resolve checks that every name means something and marks what is reachable from where.
func (d *description) resolve() error {
	names := map[string]bool{}
	for _, s := range d.services {
		if s.version == "" || s.namespace == "" {
			return fmt.Errorf("service %s has no version or namespace", s.name)
		}
	}
	for _, f := range d.files {
		for _, s := range f.structs {
			for _, m := range s.members {
				if !slices.Contains(scalars, m.kind) && d.structs[m.kind] == nil {
					return fmt.Errorf("%s: %s.%s: no type %q", s.where, s.name, m.name, m.kind)
				}
				if s.service.query && m.list {
					return fmt.Errorf("%s: %s.%s: style query knows no lists here", s.where, s.name, m.name)
				}
			}
		}
	}
	for _, f := range d.files {
		for _, op := range f.ops {
			if names[op.name] || d.structs[op.name] != nil {
				return fmt.Errorf("%s: the name %s is taken", op.in.where, op.name)
			}
			names[op.name] = true
			if op.shared != "" {
				if op.out = d.structs[op.shared]; op.out == nil {
					return fmt.Errorf("%s: no type %q", op.in.where, op.shared)
				}
			}
			if op.bare {
				f.structs = append(f.structs, op.out)
				d.structs[op.out.name] = op.out
			}
			if err := op.checkPaged(); err != nil {
				return err
			}
			d.mark(op.in, func(s *structure) *bool { return &s.decoded })
			d.mark(op.out, func(s *structure) *bool { return &s.encoded })
			if op.service.client {
				d.mark(op.in, func(s *structure) *bool { return &s.sent })
				d.mark(op.out, func(s *structure) *bool { return &s.parsed })
			}
		}
	}
	for _, f := range d.files {
		for _, s := range f.structs {
			if !s.decoded && !s.encoded {
				return fmt.Errorf("%s: nothing uses type %s", s.where, s.name)
			}
		}
	}
	return nil
}

func (op *operation) checkPaged() error {
	if op.paged == "" {
		return nil
	}
	i := slices.IndexFunc(op.out.members, func(m *member) bool { return m.name == op.paged && m.list })
	if i >= 0 && op.in.member("NextToken", "string") && op.in.member("MaxResults", "int") && op.out.member("NextToken", "string") {
		op.out.members[i].always = true
		return nil
	}
	return fmt.Errorf("%s: a paged operation needs NextToken, MaxResults, and the list %s", op.in.where, op.paged)
}

func (s *structure) member(name, kind string) bool {
	return slices.ContainsFunc(s.members, func(m *member) bool { return m.name == name && m.kind == kind && !m.list })
}

func (d *description) mark(s *structure, flag func(*structure) *bool) {
	if *flag(s) {
		return
	}
	*flag(s) = true
	for _, m := range s.members {
		if next := d.structs[m.kind]; next != nil {
			d.mark(next, flag)
		}
	}
}
