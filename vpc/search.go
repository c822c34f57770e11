package vpc

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// SearchQuery is what a person typed into the search.
type SearchQuery struct {
	Text  string
	Types []string // of resourceTypes; empty: all
	Max   int
}

// SearchHit is an object that all words of a search are about.
type SearchHit struct {
	Type   string
	ID     string
	Name   string // the group's or list's name, or the tag Name
	VPC    VPCID
	Reason string     // what of it matched, for people: its name contains "web"
	Rule   *GroupRule // of a rule
	rank   int        // how close; 0 is the closest
}

// SearchHits are the closest hits, the closest first, and how many there are in all.
type SearchHits struct {
	Hits    []SearchHit
	Matched int
	Counts  map[string]int // by type
}

const (
	maxSearchWords = 10
	maxSearchText  = 1000 // bytes
)

// Search finds what all words of a query are about. docs/api.md says what words there are. With port:,
// protocol:, from: or to: it finds rules, else objects of every type.
func (s *State) Search(q SearchQuery) (SearchHits, error) {
	out := SearchHits{Counts: map[string]int{}}
	for _, t := range q.Types {
		if _, ok := resourceTypes[t]; !ok {
			return out, errValue(t, "resourceType")
		}
	}
	if q.Max < 1 || q.Max > maxPage {
		return out, errValue(q.Max, "maxResults")
	}
	words, err := s.searchWords(q.Text)
	if err != nil || len(words) == 0 {
		return out, err
	}
	rulesOnly := slices.ContainsFunc(words, func(w searchWord) bool { return w.rule != nil && w.object == nil })
	for c := range s.candidates() {
		if rulesOnly && c.rule == nil || len(q.Types) > 0 && !slices.Contains(q.Types, c.kind) {
			continue
		}
		c.alone = rulesOnly
		if hit, ok := c.hit(words); ok {
			out.Matched++
			out.Counts[hit.Type]++
			out.Hits = append(out.Hits, hit)
		}
	}
	slices.SortFunc(out.Hits, func(a, b SearchHit) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(typeOrder[a.Type], typeOrder[b.Type]),
			strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.ID, b.ID))
	})
	out.Hits = out.Hits[:min(q.Max, len(out.Hits))]
	return out, nil
}

// typeOrder is that of hits that are equally close.
var typeOrder = map[string]int{
	string(KindSecurityGroup): 0, string(KindInstance): 1, string(KindInterface): 2, string(KindPrefixList): 3,
	string(KindVPC): 4, string(KindSubnet): 5, string(KindPeering): 6, ruleResource: 7,
}

// candidate is an object as the words of a search see it.
type candidate struct {
	kind, id    string
	name        string
	description string
	vpc         VPCID
	tags        Tags
	object      Object // the group of a rule
	rule        *Rule
	alone       bool // only rules are looked for: the name of the group is theirs, too
}

// candidates yields all objects that can be found.
func (s *State) candidates() func(func(*candidate) bool) {
	return func(yield func(*candidate) bool) {
		for o := range s.Objects() {
			c := candidate{kind: string(o.Key().Kind), id: o.Key().ID, object: o}
			if t, ok := o.(tagged); ok {
				c.tags = t.tags()
				c.name = c.tags["Name"]
			}
			switch o := o.(type) {
			case *SecurityGroup:
				c.name, c.description, c.vpc = o.Name, o.Description, o.VPC
				if !yield(&c) {
					return
				}
				for i := range o.Rules {
					r := &o.Rules[i]
					if !yield(&candidate{
						kind: ruleResource, id: string(r.ID), name: r.Tags["Name"], description: r.Description, vpc: o.VPC,
						tags: r.Tags, object: o, rule: r,
					}) {
						return
					}
				}
				continue
			case *NetworkInterface:
				c.description, c.vpc = o.Description, o.VPC
			case *Instance:
				if e := s.PrimaryInterface(o.ID); e != nil {
					c.vpc = e.VPC
				}
			case *PrefixList:
				c.name = o.Name
			case *VPC:
				c.vpc = o.ID
			case *Subnet:
				c.vpc = o.VPC
			case *PeeringConnection:
				c.vpc = o.Requester
			default: // what lists do not show
				continue
			}
			if !yield(&c) {
				return
			}
		}
	}
}

// hit says how all of the words are met.
func (c *candidate) hit(words []searchWord) (SearchHit, bool) {
	h := SearchHit{Type: c.kind, ID: c.id, Name: c.name, VPC: c.vpc}
	var reasons []string
	for _, w := range words {
		test := w.object
		if c.rule != nil && w.rule != nil {
			test = w.rule
		}
		m, ok := test(c)
		if !ok {
			return h, false
		}
		h.rank = max(h.rank, m.rank)
		if m.reason != "" && !slices.Contains(reasons, m.reason) {
			reasons = append(reasons, m.reason)
		}
	}
	h.Reason = strings.Join(reasons, ", ")
	if c.rule != nil {
		h.Rule = &GroupRule{c.object.(*SecurityGroup), *c.rule}
	}
	return h, true
}

// match says how close an object is to one word, and why.
type match struct {
	rank   int
	reason string
}

type wordTest func(*candidate) (match, bool)

// searchWord is one condition. At least one of the tests is set.
type searchWord struct {
	object wordTest // of what is no rule, and of rules unless rule is set; nil: only rules can meet it
	rule   wordTest
}

// searchWords takes a query apart: words are between spaces, quotes keep what is between them together.
func (s *State) searchWords(text string) ([]searchWord, error) {
	if len(text) > maxSearchText {
		return nil, Errorf(CodeInvalidParameterValue, "Value for parameter query is invalid. It may have %d bytes.", maxSearchText)
	}
	var flow ruleFlow
	var words []searchWord
	given := splitWords(text)
	if len(given) > maxSearchWords {
		return nil, Errorf(CodeInvalidParameterValue, "Value for parameter query is invalid. It may have %d words.", maxSearchWords)
	}
	for _, w := range given {
		name, value, named := strings.Cut(w, ":")
		name = strings.ToLower(name)
		if !named || value == "" {
			words = append(words, s.plainWord(w))
			continue
		}
		var err error
		switch name {
		case "port":
			flow.from, flow.to, err = searchPorts(value)
			flow.ports = true
		case "protocol", "proto":
			flow.protocol, err = ParseProtocol(value)
			flow.protocols = true
		case "from":
			flow.source = s.end(value)
		case "to":
			flow.destination = s.end(value)
		case "group":
			words = append(words, s.inGroup(value))
		case "vpc":
			words = append(words, s.inVPC(value))
		case "tag":
			words = append(words, tagWord(value))
		default: // an IPv6 address, a MAC, a name with a colon
			words = append(words, s.plainWord(w))
		}
		if err != nil {
			return nil, err
		}
	}
	if flow != (ruleFlow{}) {
		words = append(words, searchWord{rule: func(c *candidate) (match, bool) { return flow.match(s, c) }})
	}
	return words, nil
}

func splitWords(text string) []string {
	var words []string
	var word strings.Builder
	quoted, any := false, false
	for _, r := range text + " " {
		switch {
		case r == '"':
			quoted, any = !quoted, true
		case strings.ContainsRune(" \t\r\n", r) && !quoted:
			if any && word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteRune(r)
			any = true
		}
	}
	if word.Len() > 0 { // a quote was left open
		words = append(words, strings.TrimRight(word.String(), " "))
	}
	return words
}

// searchPorts reads 5432 or 8000-8080.
func searchPorts(text string) (from, to int32, err error) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	f, err1 := strconv.ParseUint(low, 10, 16)
	t, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || f > t {
		return 0, 0, errValue(text, "port")
	}
	return int32(f), int32(t), nil
}

// plainWord is an address, a block, an id, a tag, or the text of a name.
func (s *State) plainWord(w string) searchWord {
	lower := strings.ToLower(w)
	if p, ok := readBlock(w); ok {
		return s.blockWord(p, w)
	}
	if mac, err := ParseMAC(lower); err == nil {
		return searchWord{object: func(c *candidate) (match, bool) {
			e, ok := c.object.(*NetworkInterface)
			return match{0, "it has " + mac.String()}, ok && e.MAC == mac
		}}
	}
	if prefix, hex, ok := strings.Cut(lower, "-"); ok && hex != "" && idPrefixes[prefix] && strings.Trim(hex, "0123456789abcdef") == "" {
		return s.idWord(lower)
	}
	if key, _, ok := strings.Cut(w, "="); ok && key != "" {
		return tagWord(w)
	}
	return searchWord{object: func(c *candidate) (match, bool) { return textMatch(c, lower) }}
}

var idPrefixes = map[string]bool{
	"eni": true, "i": true, "pcx": true, "pl": true, "sg": true, "sgr": true, "subnet": true, "vpc": true,
}

// tagWord is KEY=VALUE, whose value may have wildcards, or KEY alone.
func tagWord(w string) searchWord {
	key, value, valued := strings.Cut(w, "=")
	key = strings.ToLower(key)
	wanted := newPattern(strings.ToLower(value))
	return searchWord{object: func(c *candidate) (match, bool) {
		for k, v := range c.tags {
			if strings.ToLower(k) == key && (!valued || wanted.match(strings.ToLower(v))) {
				return match{0, fmt.Sprintf("it has the tag %s=%s", k, v)}, true
			}
		}
		return match{}, false
	}}
}

const rankIDPart = 6 // a text is somewhere in an id

// textMatch looks for a text, in lower case, in what people write about an object, and in its id.
func textMatch(c *candidate, text string) (match, bool) {
	name := strings.ToLower(c.name)
	switch {
	case name == text:
		return match{0, fmt.Sprintf("its name is %q", c.name)}, true
	case strings.HasPrefix(name, text):
		return match{1, fmt.Sprintf("its name begins with %q", text)}, true
	case strings.Contains(name, text):
		return match{2, fmt.Sprintf("its name contains %q", text)}, true
	case strings.Contains(strings.ToLower(c.description), text):
		return match{4, fmt.Sprintf("its description contains %q", text)}, true
	}
	found := ""
	for k, v := range c.tags { // the same answer each time: the least
		if kv := k + "=" + v; strings.Contains(strings.ToLower(kv), text) && (found == "" || kv < found) {
			found = kv
		}
	}
	g, _ := c.object.(*SecurityGroup)
	switch e, isENI := c.object.(*NetworkInterface); {
	case c.alone && strings.Contains(strings.ToLower(g.Name), text):
		return match{0, fmt.Sprintf("the name of its group is %q", g.Name)}, true
	case found != "":
		return match{5, "it has the tag " + found}, true
	case strings.Contains(c.id, text):
		return match{rankIDPart, fmt.Sprintf("its id contains %q", text)}, true
	case isENI && len(text) > 2:
		for _, a := range slices.Concat(e.IPv4, e.IPv6) {
			if strings.HasPrefix(a.String(), text) {
				return match{3, "it has " + a.String()}, true
			}
		}
	case c.rule != nil && c.rule.Protocol.String() == text:
		return match{7, "it is of protocol " + text}, true
	}
	return match{}, false
}

// idWord is an id or the beginning of one: the object, and what is tied to it.
func (s *State) idWord(id string) searchWord {
	return searchWord{object: func(c *candidate) (match, bool) {
		switch {
		case c.id == id:
			return match{0, "it has this id"}, true
		case strings.HasPrefix(c.id, id):
			return match{1, "its id begins so"}, true
		case c.rule != nil && (string(c.rule.Peer.Group) == id || string(c.rule.Peer.PrefixList) == id):
			return match{3, "it names " + id}, true
		}
		switch o := c.object.(type) {
		case *NetworkInterface:
			if o.Attachment != nil && string(o.Attachment.Instance) == id {
				return match{2, "it is attached to " + id}, true
			}
			if slices.Contains(o.Groups, GroupID(id)) {
				return match{4, "it carries " + id}, true
			}
			if string(o.Subnet) == id {
				return match{5, "it is in " + id}, true
			}
		case *Instance:
			if e := s.NetworkInterface(InterfaceID(id)); e != nil && e.Attachment != nil && e.Attachment.Instance == o.ID {
				return match{2, id + " is attached to it"}, true
			}
		case *PeeringConnection:
			if string(o.Requester) == id || string(o.Accepter) == id {
				return match{2, "it joins " + id}, true
			}
		case *Subnet:
			if string(o.VPC) == id {
				return match{3, "it is in " + id}, true
			}
		}
		m, ok := textMatch(c, id) // a name may look so
		return m, ok && m.rank != rankIDPart
	}}
}

// inGroup is a group, by id or name, its rules, and who carries it.
func (s *State) inGroup(value string) searchWord {
	groups := s.end(value).groups
	carries := func(e *NetworkInterface) bool {
		return slices.ContainsFunc(e.Groups, func(g GroupID) bool { return slices.Contains(groups, g) })
	}
	return searchWord{object: func(c *candidate) (match, bool) {
		switch o := c.object.(type) {
		case *SecurityGroup:
			return match{}, slices.Contains(groups, o.ID)
		case *NetworkInterface:
			return match{2, "it carries the group"}, carries(o)
		case *Instance:
			for e := range s.InterfacesOfInstance(o.ID) {
				if carries(e) {
					return match{1, fmt.Sprintf("its %s carries the group", e.ID)}, true
				}
			}
		}
		return match{}, false
	}}
}

// inVPC is what is in a VPC, by id or name.
func (s *State) inVPC(value string) searchWord {
	in := map[VPCID]bool{}
	for v := range s.VPCs() {
		if string(v.ID) == value || strings.EqualFold(v.Tags["Name"], value) {
			in[v.ID] = true
		}
	}
	return searchWord{object: func(c *candidate) (match, bool) {
		p, ok := c.object.(*PeeringConnection)
		return match{}, in[c.vpc] || ok && in[p.Accepter]
	}}
}

// relation says how two blocks lie to each other, nearest first: equal, around, within.
func relation(p, wanted netip.Prefix) (distance int, how string, ok bool) {
	switch {
	case p == wanted:
		return 0, "is", true
	case p.Overlaps(wanted) && p.Bits() < wanted.Bits():
		return 1 + wanted.Bits() - p.Bits(), "covers", true
	case p.Overlaps(wanted):
		return 200 + p.Bits() - wanted.Bits(), "lies in", true
	}
	return 0, "", false
}
