package scenariotest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// Scenario is one section of a file.
type Scenario struct {
	Name   string            // file/section
	Except map[string]string // by engine: why it cannot play this
	World  *World            // as loaded
	Steps  []Step

	labels map[uint32]string // of every rule that ever is, by number
}

// Step is a line that changes the World, or sends packets and says what becomes of them. Exactly one of
// Change and Flow is set, or none: then How is Ended.
type Step struct {
	Line   string // as written, with its place: icmp.txtar:12: allow …
	Change *Change
	World  *World // after Change

	Flow  *Flow
	How   How
	Allow bool
	// Egress and Ingress are what the gates of the packet's sender and receiver must say: a rule's label or a reason's word; empty: not checked.
	Egress, Ingress string
}

// How a Step sends its packet.
type How int

// back reports whether the packet goes from the far end to the near one.
func (h How) back() bool { return h == Replied || h == Failed }

// The ways to send.
const (
	First      How = iota // Engine.Start
	Again                 // Engine.Send from the near end
	Replied               // Engine.Send from the far end
	Failed                // Engine.Fail
	Throughout            // Streamer.Stream, until Ended or the last step
	Ended                 // all that goes on throughout
)

// ParseFS reads every .txtar file of a directory, in order of names.
func ParseFS(dir fs.FS) ([]*Scenario, error) {
	names, err := fs.Glob(dir, "*.txtar")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("no scenario: no file ends in .txtar")
	}
	var all []*Scenario
	for _, name := range names {
		data, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		some, err := Parse(name, data)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// Parse reads one file: a txtar archive whose sections are scenarios.
func Parse(file string, data []byte) ([]*Scenario, error) {
	a := txtar.Parse(data)
	if len(a.Files) == 0 {
		return nil, fmt.Errorf("%s: no scenario: no line like “-- name --”", file)
	}
	var all []*Scenario
	at := 1 + strings.Count(string(a.Comment), "\n") // line number of the next section's head
	for _, f := range a.Files {
		p := parser{
			s: &Scenario{
				Name:   strings.TrimSuffix(file, ".txtar") + "/" + f.Name,
				Except: map[string]string{},
				labels: map[uint32]string{},
			},
			w: &World{Revision: 1}, flows: map[string]*Flow{}, written: map[vpc.GroupID]int{}, joined: map[Peering]bool{}, port: 40000,
		}
		for i, line := range strings.Split(string(f.Data), "\n") {
			p.line = fmt.Sprintf("%s:%d: %s", file, at+1+i, strings.TrimSpace(line))
			if err := p.parse(line); err != nil {
				return nil, fmt.Errorf("%s\n\t%w", p.line, err)
			}
		}
		at += 1 + strings.Count(string(f.Data), "\n")
		if len(p.s.Steps) == 0 {
			return nil, fmt.Errorf("%s: scenario %q has no step", file, f.Name)
		}
		if err := p.peers(); err != nil {
			return nil, fmt.Errorf("%s: scenario %q: %w", file, f.Name, err)
		}
		all = append(all, p.s)
	}
	return all, nil
}

type parser struct {
	s       *Scenario
	w       *World
	line    string
	group   vpc.GroupID         // the one that indented lines belong to
	written map[vpc.GroupID]int // rules written so far
	flows   map[string]*Flow
	joined  map[Peering]bool // VPCs that ever were peers, either way round
	port    uint16           // of the next flow
}

// words takes a line apart from the left.
type words []string

func (w *words) next() string {
	if len(*w) == 0 {
		return ""
	}
	first := (*w)[0]
	*w = (*w)[1:]
	return first
}

// take drops the next word if it is the given one.
func (w *words) take(word string) bool {
	if len(*w) == 0 || (*w)[0] != word {
		return false
	}
	w.next()
	return true
}

func (w *words) end() error {
	if len(*w) > 0 {
		return fmt.Errorf("%q is too much", strings.Join(*w, " "))
	}
	return nil
}

func (p *parser) parse(line string) error {
	line, _, _ = strings.Cut(line, "#")
	w := words(strings.Fields(line))
	if len(w) == 0 {
		return nil
	}
	if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
		return p.groupRule(w)
	}
	p.group = ""
	switch verb := w.next(); verb {
	case "except":
		return p.except(line)
	case "vpc":
		return p.vpc(w)
	case "group":
		return p.newGroup(w)
	case "eni":
		return p.eni(w)
	case "outside":
		return p.outside(w)
	case "authorize":
		return p.authorize(w)
	case "revoke":
		return p.revoke(w)
	case "modify":
		return p.modifyRule(w)
	case "describe":
		return p.describe(w)
	case "groups":
		return p.setGroups(w)
	case "list":
		return p.newList(w)
	case "modify-list":
		return p.modifyList(w)
	case "restore-list":
		return p.restoreList(w)
	case "peering":
		return p.newPeering(w)
	case "create-peering", "accept-peering", "delete-peering":
		return p.changePeering(verb, w)
	case "associate", "disassociate":
		return p.associate(verb, w)
	case "assign", "unassign":
		return p.assign(verb, w)
	case "source-dest-check":
		return p.sourceDestCheck(w)
	case "block":
		return p.block(w)
	case "open":
		name, ok := strings.CutSuffix(w.next(), ":")
		if !ok || name == "" || p.flows[name] != nil {
			return errors.New("open wants a new name and a colon: open sql: eni-a -> eni-b tcp 5432")
		}
		return p.packet(w, name, true)
	case "allow", "drop":
		if len(w) > 0 && (w[0] == "send" || w[0] == "reply" || w[0] == "error") {
			return p.again(w, verb == "allow")
		}
		return p.packet(w, "", verb == "allow")
	case "throughout":
		return p.throughout(w)
	default:
		return fmt.Errorf("%q begins no line", verb)
	}
}

// load ends the World's first state: what follows are changes.
func (p *parser) load() {
	if p.s.World == nil {
		p.s.World = p.w
		p.w = p.w.clone()
	}
}

// peers checks that every group that a rule names is there; it may stand below the rule.
func (p *parser) peers() error {
	for _, g := range p.w.Groups {
		for _, r := range g.Rules {
			named := r.Peer.Group
			if named == "" {
				continue
			}
			peer := p.w.group(named)
			if peer == nil || peer.VPC != g.VPC && !p.joined[Peering{Requester: g.VPC, Accepter: peer.VPC}] {
				return fmt.Errorf("%s names %s, which is no group of %s or a peer of it", r.Label, named, g.VPC)
			}
		}
	}
	return nil
}

func (p *parser) loaded() bool { return p.s.World != nil }

func (p *parser) except(line string) error {
	engine, reason, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "except")), ":")
	reason = strings.TrimSpace(reason)
	if !ok || engine == "" || strings.Contains(engine, " ") || reason == "" {
		return errors.New("except wants an engine and a reason: except packets: no route for protocol 47")
	}
	p.s.Except[engine] = reason
	return nil
}

func (p *parser) vpc(w words) error {
	v := VPC{ID: vpc.VPCID(w.next())}
	if p.loaded() || p.w.vpc(v.ID) != nil || !strings.HasPrefix(string(v.ID), "vpc-") {
		return errors.New("vpc wants a new name that begins with vpc-, before the first step")
	}
	var err error
	if v.IPv4, err = netip.ParsePrefix(w.next()); err != nil || !v.IPv4.Addr().Is4() {
		return fmt.Errorf("a VPC has an IPv4 block: %w", err)
	}
	if len(w) > 0 {
		if v.IPv6, err = netip.ParsePrefix(w.next()); err != nil || v.IPv6.Bits() != 56 {
			return fmt.Errorf("an IPv6 block is a /56: %w", err)
		}
	}
	p.w.VPCs = append(p.w.VPCs, v)
	return w.end()
}

// The VPC of groups that name none.
var mainVPC = VPC{
	ID:   "vpc-main",
	IPv4: netip.MustParsePrefix("10.0.0.0/16"),
	IPv6: netip.MustParsePrefix("fd00:1:2:100::/56"),
}

// everywhere6 is EC2's own outbound rule for IPv6.
var everywhere6 = vpc.Rule{
	Egress: true, Protocol: vpc.AllProtocols, From: -1, To: -1, Peer: vpc.Peer{CIDR: netip.MustParsePrefix("::/0")},
}

// network returns the VPC with that id; the main one is there as soon as it is named.
func (p *parser) network(id vpc.VPCID) *VPC {
	if id == mainVPC.ID && p.w.vpc(id) == nil && !p.loaded() {
		p.w.VPCs = append(p.w.VPCs, mainVPC)
	}
	return p.w.vpc(id)
}

func (p *parser) newGroup(w words) error {
	g := Group{ID: vpc.GroupID(w.next()), VPC: mainVPC.ID, DefaultEgress: true}
	if p.loaded() || p.w.group(g.ID) != nil || !strings.HasPrefix(string(g.ID), "sg-") {
		return errors.New("group wants a new name that begins with sg-, before the first step")
	}
	if w.take("in") {
		g.VPC = vpc.VPCID(w.next())
		for len(w) > 0 {
			with := vpc.VPCID(w.next())
			if p.network(with) == nil || with == g.VPC || slices.Contains(g.Associated, with) {
				return fmt.Errorf("%s is no further VPC of %s", with, g.ID)
			}
			g.Associated = append(g.Associated, with)
		}
	}
	v := p.network(g.VPC)
	if v == nil {
		return fmt.Errorf("there is no VPC %q", g.VPC)
	}
	p.addRule(&g, string(g.ID)+"/default4", vpc.Rule{
		Egress: true, Protocol: vpc.AllProtocols, From: -1, To: -1, Peer: vpc.Peer{CIDR: netip.MustParsePrefix("0.0.0.0/0")},
	})
	if v.IPv6.IsValid() {
		p.addRule(&g, string(g.ID)+"/default6", everywhere6)
	}
	p.w.Groups = append(p.w.Groups, g)
	p.group = g.ID
	return w.end()
}

func (p *parser) addRule(g *Group, label string, r vpc.Rule) Rule {
	p.w.rules++
	r.Number = p.w.rules
	r.ID = vpc.RuleID(fmt.Sprintf("sgr-%017x", r.Number))
	p.s.labels[r.Number] = label
	g.Rules = append(g.Rules, Rule{label, r})
	return g.Rules[len(g.Rules)-1]
}

// groupRule reads an indented line: a rule of the last group.
func (p *parser) groupRule(w words) error {
	g := p.w.group(p.group)
	if g == nil {
		return errors.New("an indented line is a rule of the group above it")
	}
	if w[0] == "egress" && g.DefaultEgress { // the first word about egress replaces EC2's own rules
		g.DefaultEgress = false
		g.Rules = slices.DeleteFunc(g.Rules, func(r Rule) bool { return strings.Contains(r.Label, "/default") })
	}
	if w[0] == "egress" && len(w) == 2 && w[1] == "none" {
		return nil
	}
	r, err := p.parseRule(w)
	if err != nil {
		return err
	}
	p.addRule(g, p.label(g.ID), r)
	return nil
}

func (p *parser) label(g vpc.GroupID) string {
	p.written[g]++
	return fmt.Sprintf("%s/%d", g, p.written[g])
}

// parseRule reads "ingress tcp 80-90 from 10.0.0.0/8" or "egress icmp 8/all to sg-b".
func (p *parser) parseRule(w words) (r vpc.Rule, err error) {
	towards := "from"
	switch w.next() {
	case "ingress":
	case "egress":
		r.Egress, towards = true, "to"
	default:
		return r, errors.New("a rule begins with ingress or egress")
	}
	if r.Protocol, err = protocol(w.next(), true); err != nil {
		return r, err
	}
	if r.From, r.To, err = ports(r.Protocol, &w); err != nil {
		return r, err
	}
	if !w.take(towards) {
		return r, fmt.Errorf("a rule ends with %q and a CIDR, prefix list or group", towards)
	}
	peer := w.next()
	if strings.HasPrefix(peer, "sg-") {
		r.Peer.Group = vpc.GroupID(peer)
	} else if strings.HasPrefix(peer, "pl-") {
		if r.Peer.PrefixList = vpc.PrefixListID(peer); p.w.list(r.Peer.PrefixList) == nil {
			return r, fmt.Errorf("there is no prefix list %q", peer)
		}
	} else if r.Peer.CIDR, err = netip.ParsePrefix(peer); err != nil {
		return r, err
	} else if r.Peer.CIDR != r.Peer.CIDR.Masked() {
		return r, fmt.Errorf("%s has host bits", peer)
	}
	return r, w.end()
}

var protocolNames = map[string]vpc.Protocol{"tcp": vpc.TCP, "udp": vpc.UDP, "icmp": vpc.ICMP, "icmpv6": vpc.ICMPv6}

// protocol reads a name, a number without a name, or, in a rule, "all".
func protocol(word string, rule bool) (vpc.Protocol, error) {
	if n, ok := protocolNames[word]; ok {
		return n, nil
	}
	if rule && word == "all" {
		return vpc.AllProtocols, nil
	}
	n, err := strconv.ParseUint(word, 10, 8)
	for name, known := range protocolNames {
		if err == nil && known == vpc.Protocol(n) {
			return 0, fmt.Errorf("protocol %d is written %s", n, name)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%q is no protocol", word)
	}
	return vpc.Protocol(n), nil
}

// ports reads "80", "80-90" or "all" of TCP and UDP, "8/0", "8/all" or "all" of ICMP.
func ports(proto vpc.Protocol, w *words) (from, to int32, err error) {
	number := func(s string, bits int) int32 {
		n, e := strconv.ParseUint(s, 10, bits)
		err = errors.Join(err, e)
		return int32(n)
	}
	switch proto {
	case vpc.TCP, vpc.UDP:
		word := w.next()
		if word == "all" {
			return 0, 65535, nil
		}
		first, last, isRange := strings.Cut(word, "-")
		from = number(first, 16)
		if to = from; isRange {
			to = number(last, 16)
		}
		if from > to {
			err = fmt.Errorf("the range %s is empty", word)
		}
		return from, to, err
	case vpc.ICMP, vpc.ICMPv6:
		word := w.next()
		if word == "all" {
			return -1, -1, nil
		}
		kind, code, ok := strings.Cut(word, "/")
		if !ok {
			return 0, 0, fmt.Errorf("ICMP wants type/code, type/all or all, not %q", word)
		}
		from = number(kind, 8)
		if to = -1; code != "all" {
			to = number(code, 8)
		}
		return from, to, err
	default:
		return -1, -1, nil
	}
}

// eni reads "eni-a 10.0.0.10 10.0.0.11 fd00:1:2:100::10 sg-web sg-ssh".
func (p *parser) eni(w words) error {
	e := ENI{ID: vpc.InterfaceID(w.next())}
	if p.w.eni(e.ID) != nil || !strings.HasPrefix(string(e.ID), "eni-") {
		return errors.New("eni wants a new name that begins with eni-")
	}
	n := len(p.w.ENIs) + 1
	e.MAC = vpc.MAC{2, 0, 0x5e, 0, 0x53, byte(n)}
	if w.take("in") {
		e.VPC = vpc.VPCID(w.next())
	}
	var own words
	for len(w) > 0 && !strings.HasPrefix(w[0], "sg-") {
		own = append(own, w.next())
	}
	has, err := addresses(own)
	if err != nil {
		return err
	}
	e.assign(has)
	if len(e.IPv4) == 0 {
		return errors.New("an interface has an IPv4 address")
	}
	if e.Groups, e.VPC, err = p.groups(w, e.VPC); err != nil {
		return err
	}
	if err := p.free(e.VPC, has); err != nil {
		return err
	}
	if p.loaded() {
		return p.change(Change{Launch: &e})
	}
	p.w.ENIs = append(p.w.ENIs, e)
	return nil
}

// groups reads what an interface of a VPC carries; without one it is in the VPC of its groups.
func (p *parser) groups(w words, in vpc.VPCID) (ids []vpc.GroupID, _ vpc.VPCID, err error) {
	for _, word := range w {
		g := p.w.group(vpc.GroupID(word))
		if g == nil {
			return nil, "", fmt.Errorf("there is no group %q", word)
		}
		if in == "" {
			in = g.VPC
		}
		if in != g.VPC && !slices.Contains(g.Associated, in) {
			return nil, "", fmt.Errorf("%s is in another VPC", word)
		}
		ids = append(ids, g.ID)
	}
	if len(ids) == 0 {
		return nil, "", errors.New("an interface has at least one group")
	}
	return ids, in, nil
}

func (p *parser) outside(w words) error {
	o := Outside{Name: w.next()}
	if p.loaded() || o.Name == "" || find(p.w.Outsides, func(x *Outside) bool { return x.Name == o.Name }) != nil {
		return errors.New("outside wants a new name, before the first step")
	}
	for len(w) > 0 {
		a, err := netip.ParseAddr(w.next())
		if err != nil {
			return err
		}
		o.Addresses = append(o.Addresses, a)
	}
	p.w.Outsides = append(p.w.Outsides, o)
	return nil
}

func (p *parser) change(c Change) error {
	p.load()
	w := p.w.clone()
	if err := w.apply(c); err != nil {
		return err
	}
	p.w = w
	p.s.Steps = append(p.s.Steps, Step{Line: p.line, Change: &c, World: w})
	return nil
}

func (p *parser) authorize(w words) error {
	g := p.w.group(vpc.GroupID(w.next()))
	if g == nil {
		return errors.New("authorize wants a group and a rule: authorize sg-web ingress tcp 80 from 0.0.0.0/0")
	}
	r, err := p.parseRule(w)
	if err != nil {
		return err
	}
	var copied Group // numbers the rule without putting it into a World that an earlier step shows
	rule := p.addRule(&copied, p.label(g.ID), r)
	return p.change(Change{Authorize: &RuleOf{g.ID, rule}})
}

func (p *parser) revoke(w words) error {
	r, ok := p.w.rule(w.next())
	if !ok {
		return errors.New("revoke wants a rule that is there: revoke sg-web/1")
	}
	if err := w.end(); err != nil {
		return err
	}
	return p.change(Change{Revoke: &r})
}

func (p *parser) setGroups(w words) error {
	e := p.w.eni(vpc.InterfaceID(w.next()))
	if e == nil {
		return errors.New("groups wants an interface and groups: groups eni-a sg-web sg-ssh")
	}
	n := *e
	groups, _, err := p.groups(w, e.VPC)
	if err != nil {
		return err
	}
	n.Groups = groups
	return p.change(Change{SetGroups: &n})
}

// packet reads "eni-a -> eni-b [ipv6] tcp 80 [egress …] [ingress …]".
func (p *parser) packet(w words, name string, allow bool) error {
	from, arrow, to := w.next(), w.next(), w.next()
	if arrow != "->" {
		return errors.New("a packet goes from one end -> to another")
	}
	family := 4
	if w.take("ipv6") || len(w) > 0 && w[0] == "icmpv6" {
		family = 6
	}
	f := Flow{Name: name}
	var err error
	if f.From, err = p.end(from, family); err != nil {
		return err
	}
	if f.To, err = p.end(to, family); err != nil {
		return err
	}
	if f.Packet.Src, f.Packet.Dst = f.From.Addr, f.To.Addr; f.Packet.Src.Is4() != f.Packet.Dst.Is4() {
		return fmt.Errorf("%s and %s are of two families", f.Packet.Src, f.Packet.Dst)
	}
	proto, err := protocol(w.next(), false)
	if err != nil {
		return err
	}
	first, last, err := ports(proto, &w)
	if err != nil {
		return err
	}
	f.Packet.Protocol = uint8(proto)
	p.port++
	f.ID = p.port
	switch proto {
	case vpc.TCP, vpc.UDP:
		if first != last {
			return errors.New("a packet has one port")
		}
		f.Packet.SrcPort, f.Packet.DstPort = p.port, uint16(first)
	case vpc.ICMP, vpc.ICMPv6:
		if first == -1 || last == -1 {
			return errors.New("a packet has one type and code")
		}
		f.Packet.ICMPType, f.Packet.ICMPCode = uint8(first), uint8(last)
	}
	if name != "" {
		p.flows[name] = &f
	}
	return p.expect(w, Step{Flow: &f, Allow: allow})
}

// throughout reads "allow eni-a -> eni-b udp 5000" or "end".
func (p *parser) throughout(w words) error {
	verb := w.next()
	if verb == "end" {
		going := false
		for _, s := range p.s.Steps {
			going = s.How == Throughout || going && s.How != Ended
		}
		if !going {
			return errors.New("nothing goes on that could end")
		}
		p.s.Steps = append(p.s.Steps, Step{Line: p.line, How: Ended})
		return w.end()
	}
	if verb != "allow" && verb != "drop" {
		return errors.New("throughout wants allow, drop or end: throughout allow eni-a -> eni-b udp 5000")
	}
	if err := p.packet(w, "", verb == "allow"); err != nil {
		return err
	}
	s := &p.s.Steps[len(p.s.Steps)-1]
	s.How = Throughout
	if f := s.Flow; f.From.ENI == "" || f.To.ENI == "" || f.Packet.Protocol != uint8(vpc.UDP) || !f.Packet.Src.Is4() {
		return errors.New("what goes on throughout is UDP over IPv4 between two interfaces")
	}
	if s.Egress != "" || s.Ingress != "" {
		return errors.New("what goes on throughout may pass or be dropped by many rules: name none")
	}
	return nil
}

// end reads an interface, or outside, with its first address of the family, one of its own after an
// @, or one that is not its own after a !.
func (p *parser) end(word string, family int) (End, error) {
	if name, address, foreign := strings.Cut(word, "!"); foreign {
		a, err := netip.ParseAddr(address)
		eni := p.w.eni(vpc.InterfaceID(name))
		if err != nil || eni == nil || eni.owns(a) {
			return End{}, fmt.Errorf("%s is no interface with an address that is not its own", word)
		}
		return End{ENI: eni.ID, Addr: a}, nil
	}
	name, address, given := strings.Cut(word, "@")
	var e End
	if a, err := netip.ParseAddr(address); err == nil {
		if eni := p.w.eni(vpc.InterfaceID(name)); eni != nil && eni.owns(a) {
			return End{ENI: eni.ID, Addr: a}, nil
		}
	}
	var own []netip.Addr
	if eni := p.w.eni(vpc.InterfaceID(name)); eni != nil {
		e.ENI, own = eni.ID, slices.Concat(eni.IPv4, eni.IPv6)
	} else if o := find(p.w.Outsides, func(x *Outside) bool { return x.Name == name }); o != nil {
		e.Outside, own = o.Name, o.Addresses
	} else {
		return e, fmt.Errorf("there is neither an interface nor an outside %q", name)
	}
	i := slices.IndexFunc(own, func(a netip.Addr) bool {
		if given {
			return a.String() == address
		}
		return a.Is4() == (family == 4)
	})
	if i < 0 {
		return e, fmt.Errorf("%s has no such address", word)
	}
	e.Addr = own[i]
	return e, nil
}

// again reads "send sql [egress …] [ingress …]": another packet of an open flow, or about one.
func (p *parser) again(w words, allow bool) error {
	s := Step{How: map[string]How{"send": Again, "reply": Replied, "error": Failed}[w.next()], Allow: allow}
	name := w.next()
	if s.Flow = p.flows[name]; s.Flow == nil {
		return fmt.Errorf("no flow %q was opened", name)
	}
	return p.expect(w, s)
}

// expect reads what the gates must say, and ends the step.
func (p *parser) expect(w words, s Step) error {
	from, to := s.Flow.From, s.Flow.To
	if s.How.back() {
		from, to = to, from
	}
	for _, gate := range []struct {
		word string
		at   End
		says *string
	}{{"egress", from, &s.Egress}, {"ingress", to, &s.Ingress}} {
		if !w.take(gate.word) {
			continue
		}
		*gate.says = w.next()
		if gate.at.ENI == "" {
			return fmt.Errorf("%s has no gate", gate.at)
		}
		if err := p.verdict(*gate.says); err != nil {
			return err
		}
	}
	s.Line = p.line
	p.load()
	p.s.Steps = append(p.s.Steps, s)
	return w.end()
}

// verdict accepts the label of a rule that was ever there, or a reason.
func (p *parser) verdict(word string) error {
	for _, label := range p.s.labels {
		if label == word {
			return nil
		}
	}
	if r, err := ruleset.ParseReason(word); err != nil || r == ruleset.ReasonRule {
		return fmt.Errorf("%q is neither a rule nor a reason", word)
	}
	return nil
}
