package vpc

import "strings"

// Key implements Object for each kind; the installation has the one id "self".

func (*Installation) Key() Key       { return Key{KindInstallation, "self"} }
func (v *VPC) Key() Key              { return Key{KindVPC, string(v.ID)} }
func (n *Subnet) Key() Key           { return Key{KindSubnet, string(n.ID)} }
func (g *SecurityGroup) Key() Key    { return Key{KindSecurityGroup, string(g.ID)} }
func (e *NetworkInterface) Key() Key { return Key{KindInterface, string(e.ID)} }
func (i *Instance) Key() Key         { return Key{KindInstance, string(i.ID)} }
func (h *Host) Key() Key             { return Key{KindHost, string(h.ID)} }
func (k *AccessKey) Key() Key        { return Key{KindAccessKey, string(k.ID)} }

func (*Installation) indexed() []entry { return nil }
func (*VPC) indexed() []entry          { return nil }
func (*Host) indexed() []entry         { return nil }
func (*AccessKey) indexed() []entry    { return nil }

func (n *Subnet) indexed() []entry { return []entry{{subnetsByVPC, string(n.VPC)}} }

func (g *SecurityGroup) indexed() []entry {
	es := []entry{
		{groupsByVPC, string(g.VPC)},
		{groupByName, string(g.VPC) + "/" + strings.ToLower(g.Name)},
	}
	for _, r := range g.Rules {
		es = append(es, entry{groupByRule, string(r.ID)})
		if r.Peer.Group != "" {
			es = append(es, entry{groupsByReference, string(r.Peer.Group)})
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
	if e.Attachment != nil {
		es = append(es,
			entry{enisByInstance, string(e.Attachment.Instance)},
			entry{eniByAttachment, string(e.Attachment.ID)})
	}
	if e.Binding != nil {
		es = append(es, entry{enisByHost, string(e.Binding.Host)})
	}
	if e.ClientToken != "" {
		es = append(es, entry{byClientToken, string(KindInterface) + "/" + e.ClientToken})
	}
	return es
}

func (i *Instance) indexed() []entry {
	var es []entry
	if i.Host != "" {
		es = append(es, entry{instancesByHost, string(i.Host)})
	}
	if i.ClientToken != "" {
		es = append(es, entry{byClientToken, string(KindInstance) + "/" + i.ClientToken})
	}
	return es
}
