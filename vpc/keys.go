package vpc

import (
	"fmt"
	"slices"
	"strings"
)

// Key implements Object for each kind; the installation has the one id "self".

func (*Installation) Key() Key       { return Key{KindInstallation, "self"} }
func (v *VPC) Key() Key              { return Key{KindVPC, string(v.ID)} }
func (n *Subnet) Key() Key           { return Key{KindSubnet, string(n.ID)} }
func (g *SecurityGroup) Key() Key    { return Key{KindSecurityGroup, string(g.ID)} }
func (e *NetworkInterface) Key() Key { return Key{KindInterface, string(e.ID)} }
func (i *Instance) Key() Key         { return Key{KindInstance, string(i.ID)} }
func (h *Host) Key() Key             { return Key{KindHost, string(h.ID)} }
func (k *AccessKey) Key() Key        { return Key{KindAccessKey, string(k.ID)} }

func (l *PrefixList) Key() Key { return Key{KindPrefixList, string(l.ID)} }

func (v *PrefixListVersion) Key() Key {
	return Key{KindPrefixListVersion, prefixListVersionID(v.List, v.Number)}
}
func (p *PeeringConnection) Key() Key { return Key{KindPeering, string(p.ID)} }
func (p *InsightsPath) Key() Key      { return Key{KindInsightsPath, string(p.ID)} }
func (a *InsightsAnalysis) Key() Key  { return Key{KindInsightsAnalysis, string(a.ID)} }
func (u *User) Key() Key              { return Key{KindUser, u.Name} }
func (s *ConsoleSession) Key() Key    { return Key{KindConsoleSession, string(s.ID)} }
func (t *SignInToken) Key() Key       { return Key{KindSignInToken, string(t.ID)} }

// prefixListVersionID sorts by list, then by number.
func prefixListVersionID(list PrefixListID, number int64) string {
	return fmt.Sprintf("%s/%010d", list, number)
}

func (*Installation) indexed() []entry      { return nil }
func (*VPC) indexed() []entry               { return nil }
func (*Host) indexed() []entry              { return nil }
func (*User) indexed() []entry              { return nil }
func (*PrefixListVersion) indexed() []entry { return nil }

func (l *PrefixList) indexed() []entry { return tokenEntry(KindPrefixList, l.ClientToken) }

func (p *PeeringConnection) indexed() []entry {
	return []entry{{peeringsByVPC, string(p.Requester)}, {peeringsByVPC, string(p.Accepter)}}
}

func (p *InsightsPath) indexed() []entry { return tokenEntry(KindInsightsPath, p.ClientToken) }

func (a *InsightsAnalysis) indexed() []entry {
	return append(tokenEntry(KindInsightsAnalysis, a.ClientToken), entry{analysesByPath, string(a.Path)})
}

func (k *AccessKey) indexed() []entry {
	es := []entry{{keysByUser, k.User}}
	if !k.Expires.IsZero() {
		es = append(es, entry{sessionsByEnd, sessionEnd(k.Expires)})
	}
	if k.Console != "" {
		es = append(es, entry{keysByConsoleSession, string(k.Console)})
	}
	return es
}

func (s *ConsoleSession) indexed() []entry {
	return []entry{{consoleSessionsByUser, s.User}, {consoleSessionsByEnd, sessionEnd(s.Expires)}}
}

func (t *SignInToken) indexed() []entry {
	return []entry{{signInTokensByUser, t.User}, {signInTokensByEnd, sessionEnd(t.Expires)}}
}

// tokenEntry makes an object found by the ClientToken that it was made with, if there was one.
func tokenEntry(kind Kind, token string) []entry {
	if token == "" {
		return nil
	}
	return []entry{{byClientToken, string(kind) + "/" + token}}
}

func (n *Subnet) indexed() []entry { return []entry{{subnetsByVPC, string(n.VPC)}} }

func (g *SecurityGroup) indexed() []entry {
	es := append(make([]entry, 0, 4+len(g.Rules)),
		entry{groupsByVPC, string(g.VPC)},
		entry{groupByName, string(g.VPC) + "/" + strings.ToLower(g.Name)})
	for i := range g.Rules {
		r := &g.Rules[i]
		es = append(es, entry{groupByRule, string(r.ID)})
		if r.Peer.Group != "" {
			es = append(es, entry{groupsByReference, string(r.Peer.Group)})
		}
		if r.Peer.PrefixList != "" {
			es = append(es, entry{groupsByPrefixList, string(r.Peer.PrefixList)})
		}
	}
	for _, a := range g.Associations {
		if a.Ended.IsZero() {
			es = append(es, entry{groupsByAssociation, string(a.VPC)})
		}
	}
	return es
}

func (e *NetworkInterface) indexed() []entry {
	es := []entry{
		{enisByVPC, string(e.VPC)},
		{enisBySubnet, string(e.Subnet)},
		{eniByMAC, e.MAC.String()},
	}
	for _, g := range e.Groups {
		es = append(es, entry{enisByGroup, string(g)})
	}
	for _, a := range e.IPv4 {
		es = append(es, entry{eniByAddress, string(e.VPC) + "/" + a.String()})
	}
	for _, a := range e.IPv6 {
		es = append(es, entry{eniByAddress, string(e.VPC) + "/" + a.String()})
	}
	for _, p := range slices.Concat(e.IPv4Prefixes, e.IPv6Prefixes) {
		es = append(es, entry{eniByPrefix, string(e.VPC) + "/" + p.String()})
	}
	if e.Attachment != nil {
		es = append(es,
			entry{enisByInstance, string(e.Attachment.Instance)},
			entry{eniByAttachment, string(e.Attachment.ID)})
	}
	if e.Binding != nil {
		es = append(es, entry{enisByHost, string(e.Binding.Host)})
	}
	return append(es, tokenEntry(KindInterface, e.ClientToken)...)
}

func (i *Instance) indexed() []entry {
	es := tokenEntry(KindInstance, i.ClientToken)
	if i.Host != "" {
		es = append(es, entry{instancesByHost, string(i.Host)})
	}
	if i.State == Terminated {
		es = append(es, entry{instancesByState, i.State.String()})
	}
	return es
}
