package scenariotest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/vpc"
)

// Reading the lines about prefix lists, peering, associations, addresses and attributes.

// modifyRule reads "sg-web/1 ingress tcp 443 from 10.0.0.0/8".
func (p *parser) modifyRule(w words) error {
	old, ok := p.w.rule(w.next())
	if !ok {
		return errors.New("modify wants a rule that is there, and what it is to say: modify sg-web/1 ingress tcp 443 from 10.0.0.0/8")
	}
	r, err := p.parseRule(w)
	if err != nil {
		return err
	}
	if r.Egress != old.Rule.Egress {
		return fmt.Errorf("%s keeps its direction", old.Rule.Label)
	}
	if kind(r.Peer) != kind(old.Rule.Peer) {
		return fmt.Errorf("%s keeps the kind of its peer", old.Rule.Label)
	}
	p.w.rules++ // what it allows now, it allows under a number of its own
	r.ID, r.Number, r.Description = old.Rule.ID, p.w.rules, old.Rule.Description
	p.s.labels[r.Number] = old.Rule.Label
	return p.change(Change{ModifyRule: &RuleOf{old.Group, Rule{old.Rule.Label, r}}})
}

// kind is what EC2 does not let a rule change: IPv4 and IPv6 CIDRs, lists and groups are four.
func kind(p vpc.Peer) [3]bool {
	return [3]bool{p.Group != "", p.PrefixList != "", p.CIDR.Addr().Is4()}
}

// describe reads "sg-web/1 the office".
func (p *parser) describe(w words) error {
	r, ok := p.w.rule(w.next())
	if !ok || len(w) == 0 {
		return errors.New("describe wants a rule that is there and a text: describe sg-web/1 the office")
	}
	r.Rule.Description = strings.Join(w, " ")
	return p.change(Change{Describe: &r})
}

// newList reads "pl-offices 10.0.0.0/8 198.18.0.0/32*999".
func (p *parser) newList(w words) error {
	l := List{ID: vpc.PrefixListID(w.next())}
	if p.loaded() || p.w.list(l.ID) != nil || !strings.HasPrefix(string(l.ID), "pl-") {
		return errors.New("list wants a new name that begins with pl-, before the first step")
	}
	entries, err := cidrs(w)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return fmt.Errorf("%s wants an entry: its family is that of the first", l.ID)
	}
	l.Versions = [][]netip.Prefix{nil}
	if err := l.modify(ListChange{Add: entries}); err != nil {
		return err
	}
	l.Versions = l.Versions[1:]
	p.w.Lists = append(p.w.Lists, l)
	return oneFamily(l.Entries()[0], entries)
}

func oneFamily(of netip.Prefix, all []netip.Prefix) error {
	for _, p := range all {
		if p.Addr().Is4() != of.Addr().Is4() {
			return fmt.Errorf("%s is of another family than %s", p, of)
		}
	}
	return nil
}

// cidrs reads "10.0.0.0/8 198.18.0.0/32*3": the latter is 198.18.0.0/32 and the two that follow it.
func cidrs(w words) (all []netip.Prefix, err error) {
	for _, word := range w {
		text, times, repeated := strings.Cut(word, "*")
		cidr, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		if cidr != cidr.Masked() {
			return nil, fmt.Errorf("%s has host bits", text)
		}
		n := uint64(1)
		if repeated {
			if n, err = strconv.ParseUint(times, 10, 10); err != nil {
				return nil, err
			}
			if cidr.Bits() != cidr.Addr().BitLen() {
				return nil, fmt.Errorf("%s is repeated, but not one address", text)
			}
		}
		for range n {
			if !cidr.IsValid() {
				return nil, fmt.Errorf("%s goes beyond the last address", word)
			}
			all = append(all, cidr)
			cidr = netip.PrefixFrom(cidr.Addr().Next(), cidr.Bits())
		}
	}
	return all, nil
}

// modifyList reads "pl-offices add 10.1.0.0/16 remove 10.2.0.0/16".
func (p *parser) modifyList(w words) error {
	l := p.w.list(vpc.PrefixListID(w.next()))
	if l == nil {
		return errors.New("modify-list wants a list: modify-list pl-offices add 10.1.0.0/16 remove 10.2.0.0/16")
	}
	c := ListChange{List: l.ID}
	var to *[]netip.Prefix
	for len(w) > 0 {
		switch word := w.next(); {
		case word == "add":
			to = &c.Add
		case word == "remove":
			to = &c.Remove
		case to == nil:
			return fmt.Errorf("%q comes before add or remove", word)
		default:
			some, err := cidrs(words{word})
			if err != nil {
				return err
			}
			*to = append(*to, some...)
		}
	}
	if len(c.Add)+len(c.Remove) == 0 {
		return errors.New("modify-list changes nothing")
	}
	if err := oneFamily(l.Versions[0][0], c.Add); err != nil {
		return err
	}
	return p.change(Change{ModifyList: &c})
}

// restoreList reads "pl-offices 1".
func (p *parser) restoreList(w words) error {
	l := p.w.list(vpc.PrefixListID(w.next()))
	n, err := strconv.Atoi(w.next())
	if l == nil || err != nil {
		return errors.New("restore-list wants a list and a version: restore-list pl-offices 1")
	}
	if err := w.end(); err != nil {
		return err
	}
	return p.change(Change{RestoreList: &ListVersion{l.ID, n}})
}

// peersOf reads two VPCs that may be joined.
func (p *parser) peersOf(w *words) (Peering, error) {
	c := Peering{Requester: vpc.VPCID(w.next()), Accepter: vpc.VPCID(w.next())}
	if p.network(c.Requester) == nil || p.network(c.Accepter) == nil || c.Requester == c.Accepter {
		return c, errors.New("a peering connection joins two VPCs that are there: peering vpc-a vpc-b")
	}
	return c, w.end()
}

func (p *parser) newPeering(w words) error {
	c, err := p.peersOf(&w)
	if err != nil {
		return err
	}
	if p.loaded() || p.w.peering(c) != nil {
		return errors.New("peering wants two VPCs that are not joined, before the first step")
	}
	c.Active = true
	p.join(c)
	p.w.Peerings = append(p.w.Peerings, c)
	return nil
}

// join notes that groups of either may name those of the other.
func (p *parser) join(c Peering) {
	p.joined[Peering{Requester: c.Requester, Accepter: c.Accepter}] = true
	p.joined[Peering{Requester: c.Accepter, Accepter: c.Requester}] = true
}

func (p *parser) changePeering(verb string, w words) error {
	c, err := p.peersOf(&w)
	if err != nil {
		return err
	}
	there := p.w.peering(c)
	switch {
	case verb == "create-peering" && there == nil:
		return p.change(Change{CreatePeering: &c})
	case verb == "accept-peering" && there != nil && !there.Active:
		p.join(c)
		return p.change(Change{AcceptPeering: &c})
	case verb == "delete-peering" && there != nil:
		return p.change(Change{DeletePeering: &c})
	}
	return fmt.Errorf("%s and %s cannot %s now", c.Requester, c.Accepter, verb)
}

// associate reads "sg-web vpc-b".
func (p *parser) associate(verb string, w words) error {
	g, v := p.w.group(vpc.GroupID(w.next())), p.w.vpc(vpc.VPCID(w.next()))
	if g == nil || v == nil || g.VPC == v.ID || slices.Contains(g.Associated, v.ID) != (verb == "disassociate") {
		return fmt.Errorf("%s wants a group and a further VPC: %s sg-web vpc-b", verb, verb)
	}
	if err := w.end(); err != nil {
		return err
	}
	a := &Association{g.ID, v.ID}
	if verb == "associate" {
		return p.change(Change{Associate: a})
	}
	for _, e := range p.w.ENIs {
		if e.VPC == v.ID && slices.Contains(e.Groups, g.ID) {
			return fmt.Errorf("%s carries %s", e.ID, g.ID)
		}
	}
	return p.change(Change{Disassociate: a})
}

// addresses reads "10.0.0.14 10.0.0.32/28 fd00::14 fd00:0:0:0:1::/80".
func addresses(w words) (a Addresses, err error) {
	for _, word := range w {
		if !strings.Contains(word, "/") {
			one, err := netip.ParseAddr(word)
			if err != nil {
				return a, err
			}
			a.Addresses = append(a.Addresses, one)
			continue
		}
		prefix, err := netip.ParsePrefix(word)
		if err != nil {
			return a, err
		}
		size := 80
		if prefix.Addr().Is4() {
			size = 28
		}
		if prefix != prefix.Masked() || prefix.Bits() != size {
			return a, fmt.Errorf("the prefix %s of an interface is no /%d", word, size)
		}
		a.Prefixes = append(a.Prefixes, prefix)
	}
	return a, nil
}

// free checks that addresses are a VPC's and no interface's, or may be taken from one.
func (p *parser) free(in vpc.VPCID, a Addresses) error {
	v := p.w.vpc(in)
	all := slices.Clone(a.Prefixes)
	for _, one := range a.Addresses {
		all = append(all, netip.PrefixFrom(one, one.BitLen()))
	}
	for i, x := range all {
		if !slices.ContainsFunc(append([]netip.Prefix{v.IPv4, v.IPv6}, v.More...), func(b netip.Prefix) bool { return b.Contains(x.Addr()) }) {
			return fmt.Errorf("%s is not in %s", strings.TrimSuffix(x.String(), fmt.Sprintf("/%d", x.Addr().BitLen())), v.ID)
		}
		if slices.ContainsFunc(all[:i], x.Overlaps) {
			return fmt.Errorf("%s is there twice", x)
		}
		for _, o := range p.w.ENIs {
			if o.VPC != in {
				continue
			}
			for _, own := range slices.Concat(o.IPv4, o.IPv6) {
				if x.Contains(own) && !a.Reassign {
					return fmt.Errorf("%s has %s already", o.ID, own)
				}
			}
			for _, own := range o.Prefixes {
				if x.Overlaps(own) {
					return fmt.Errorf("%s has %s already", o.ID, own)
				}
			}
		}
	}
	return nil
}

// assign reads "eni-a 10.0.0.14 10.0.0.32/28" or "eni-a 10.0.0.14 reassign".
func (p *parser) assign(verb string, w words) error {
	e := p.w.eni(vpc.InterfaceID(w.next()))
	if e == nil || len(w) == 0 {
		return fmt.Errorf("%s wants an interface and addresses or prefixes: %s eni-a 10.0.0.14 10.0.0.32/28", verb, verb)
	}
	reassign := verb == "assign" && w[len(w)-1] == "reassign"
	if reassign {
		w = w[:len(w)-1]
	}
	a, err := addresses(w)
	if err != nil {
		return err
	}
	a.ENI, a.Reassign = e.ID, reassign
	if reassign && (len(a.Prefixes) > 0 || slices.ContainsFunc(a.Addresses, netip.Addr.Is6) || slices.ContainsFunc(a.Addresses, e.owns)) {
		return errors.New("only IPv4 addresses of others can be reassigned")
	}
	if verb == "unassign" {
		return p.change(Change{Unassign: &a})
	}
	if err := p.free(e.VPC, a); err != nil {
		return err
	}
	return p.change(Change{Assign: &a})
}

// sourceDestCheck reads "eni-a off" or "eni-a on by instance".
func (p *parser) sourceDestCheck(w words) error {
	e := p.w.eni(vpc.InterfaceID(w.next()))
	word := w.next()
	if e == nil || word != "on" && word != "off" {
		return errors.New("source-dest-check wants an interface and on or off: source-dest-check eni-a off by instance")
	}
	c := SourceDestCheck{ENI: e.ID, On: word == "on", ByInstance: w.take("by") && w.take("instance")}
	if err := w.end(); err != nil {
		return err
	}
	return p.change(Change{SourceDestCheck: &c})
}

// block reads "vpc-main 10.5.0.0/16" or "vpc-plain fd00:1:2:300::/56".
func (p *parser) block(w words) error {
	v := p.w.vpc(vpc.VPCID(w.next()))
	cidr, err := netip.ParsePrefix(w.next())
	if v == nil || err != nil || cidr != cidr.Masked() {
		return errors.New("block wants a VPC and a further block: block vpc-main 10.5.0.0/16")
	}
	b := &Block{VPC: v.ID, CIDR: cidr}
	if cidr.Addr().Is6() {
		if v.IPv6.IsValid() || cidr.Bits() != 56 {
			return fmt.Errorf("a VPC has one IPv6 block, a /56: %s has %s", v.ID, v.IPv6)
		}
		for _, g := range p.w.Groups {
			if g.VPC == v.ID && g.DefaultEgress && !g.egressModified {
				var copied Group
				b.Egress = append(b.Egress, RuleOf{g.ID, p.addRule(&copied, string(g.ID)+"/default6", everywhere6)})
			}
		}
	}
	for _, has := range append([]netip.Prefix{v.IPv4}, v.More...) {
		if has.Overlaps(cidr) {
			return fmt.Errorf("%s has %s already", v.ID, has)
		}
	}
	if err := w.end(); err != nil {
		return err
	}
	return p.change(Change{AssociateBlock: b})
}
