package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sallyport/sallyport/vpc"
)

// The checker of TestConcurrentTruth. It knows what callers were told and what etcd's watch says that
// happened, and holds the two against each other. It uses nothing of a State but the list of its
// objects: an index that is wrong is not believed.

// call is what a caller asked for and was told.
type call struct {
	what     string // the request, for messages
	status   int
	code     string // of a refusal
	revision int64
	// What the call made true and false, as facts; a star at the end stands for any rest.
	makes, ends []string
	on          []string // facts of what it is about: with these gone, what it made is gone too
}

// world is the objects of one revision, decoded, by kind and id.
type world map[vpc.Key]vpc.Object

// revision is one write of the history.
type revision struct {
	number int64
	fenced bool
	after  world
}

// replay returns every revision up to the newest, as the watch tells it from the first on.
func replay(t *testing.T, endpoints []string) []revision {
	t.Helper()
	c := etcdClient(t, endpoints)
	resp, err := c.Get(t.Context(), prefix+"fence")
	if err != nil || len(resp.Kvs) != 1 {
		t.Fatalf("read the fence: %v", err)
	}
	head := resp.Kvs[0].ModRevision
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var history []revision
	now := world{}
	for resp := range c.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(1)) {
		if resp.Err() != nil {
			t.Fatalf("watch: %v", resp.Err())
		}
		for _, e := range resp.Events {
			if n := len(history); n == 0 || history[n-1].number != e.Kv.ModRevision {
				now = maps.Clone(now)
				history = append(history, revision{number: e.Kv.ModRevision, after: now})
			}
			name := strings.TrimPrefix(string(e.Kv.Key), prefix)
			kind, id, _ := strings.Cut(name, "/")
			switch {
			case name == "fence":
				history[len(history)-1].fenced = true
			case kind == "commit":
			case e.Type == mvccpb.DELETE:
				delete(now, vpc.Key{Kind: vpc.Kind(kind), ID: id})
			default:
				o, err := vpc.New(vpc.Kind(kind))
				if err == nil {
					err = json.Unmarshal(e.Kv.Value, o)
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				now[vpc.Key{Kind: vpc.Kind(kind), ID: id}] = o
			}
		}
		if n := len(history); n > 0 && history[n-1].number >= head {
			return history
		}
	}
	t.Fatalf("the watch ended before revision %d", head)
	return nil
}

func of[P vpc.Object](w world) []P {
	var out []P
	for _, o := range w {
		if p, ok := o.(P); ok {
			out = append(out, p)
		}
	}
	return out
}

func (w world) has(k vpc.Kind, id string) bool { return w[vpc.Key{Kind: k, ID: id}] != nil }

func (w world) quota(name vpc.QuotaName) int {
	return w[vpc.Key{Kind: vpc.KindInstallation, ID: "self"}].(*vpc.Installation).Quotas[name]
}

// wrongs returns what must not be in any revision.
func (w world) wrongs() (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	taken := map[string]string{} // what only one may have
	claim := func(who string, what ...any) {
		k := fmt.Sprintln(what...)
		if other, ok := taken[k]; ok {
			bad("twice: %s and %s both have %s", other, who, k)
		}
		taken[k] = who
	}
	atMost := func(n int, name vpc.QuotaName, of string) {
		if most := w.quota(name); n > most {
			bad("quota: %s has %d, %s is %d", of, n, name, most)
		}
	}
	groups := map[vpc.GroupID]*vpc.SecurityGroup{}
	for _, g := range of[*vpc.SecurityGroup](w) {
		groups[g.ID] = g
	}
	for _, g := range groups {
		claim(string(g.ID), "group name", g.VPC, strings.ToLower(g.Name))
		if !w.has(vpc.KindVPC, string(g.VPC)) {
			bad("dangling: %s is of %s", g.ID, g.VPC)
		}
		identities := map[string]vpc.RuleID{}
		weight := map[string]int{}
		for _, r := range g.Rules {
			claim(string(r.ID), "rule id", r.ID)
			claim(string(r.ID), "rule number", r.Number)
			k := fmt.Sprint(r.Egress, r.Protocol, r.From, r.To, r.Peer)
			if other, ok := identities[k]; ok {
				bad("duplicate rule: %s and %s of %s", other, r.ID, g.ID)
			}
			identities[k] = r.ID
			families := []string{"4", "6"}
			n := 1
			switch peer := groups[r.Peer.Group]; {
			case r.Peer.PrefixList != "":
				l, _ := w[vpc.Key{Kind: vpc.KindPrefixList, ID: string(r.Peer.PrefixList)}].(*vpc.PrefixList)
				if l == nil {
					bad("dangling: %s names %s", r.ID, r.Peer.PrefixList)
					continue
				}
				families, n = []string{map[bool]string{false: "4", true: "6"}[l.IPv6]}, l.MaxEntries
			case r.Peer.CIDR.IsValid():
				families = []string{map[bool]string{false: "6", true: "4"}[r.Peer.CIDR.Addr().Is4()]}
			case peer == nil && r.PeerVPC == "", peer != nil && r.PeerVPC == "" && peer.VPC != g.VPC:
				bad("dangling: %s of %s names %s", r.ID, g.ID, r.Peer.Group)
			}
			for _, f := range families {
				weight[fmt.Sprint(r.Egress, f)] += n
			}
		}
		for _, n := range weight {
			atMost(n, vpc.RulesPerSecurityGroup, string(g.ID))
		}
		for _, a := range g.Associations {
			if a.Ended.IsZero() && !w.has(vpc.KindVPC, string(a.VPC)) {
				bad("dangling: %s is associated with %s", g.ID, a.VPC)
			}
		}
	}
	blocks := map[vpc.VPCID][]netip.Prefix{}
	subnets := map[vpc.SubnetID]*vpc.Subnet{}
	for _, n := range of[*vpc.Subnet](w) {
		subnets[n.ID] = n
		if !w.has(vpc.KindVPC, string(n.VPC)) {
			bad("dangling: %s is in %s", n.ID, n.VPC)
		}
		if slices.ContainsFunc(blocks[n.VPC], n.CIDR.Overlaps) {
			bad("twice: %s overlaps with a subnet of %s", n.CIDR, n.VPC)
		}
		blocks[n.VPC] = append(blocks[n.VPC], n.CIDR)
	}
	for _, e := range of[*vpc.NetworkInterface](w) {
		who := string(e.ID)
		claim(who, "MAC", e.MAC)
		for _, a := range slices.Concat(e.IPv4, e.IPv6) {
			claim(who, "address", e.VPC, a)
		}
		if n := subnets[e.Subnet]; n == nil || n.VPC != e.VPC || !w.has(vpc.KindVPC, string(e.VPC)) {
			bad("dangling: %s is in %s of %s", e.ID, e.Subnet, e.VPC)
		}
		for _, id := range e.Groups {
			g := groups[id]
			if g == nil || g.VPC != e.VPC && !slices.ContainsFunc(g.Associations, func(a vpc.GroupAssociation) bool { return a.VPC == e.VPC }) {
				bad("dangling: %s carries %s", e.ID, id)
			}
			claim(who, "the group", e.ID, id)
		}
		atMost(len(e.Groups), vpc.SecurityGroupsPerInterface, who)
		atMost(len(e.IPv4), vpc.AddressesPerInterface, who)
		if a := e.Attachment; a != nil {
			claim(who, "device", a.Instance, a.DeviceIndex)
			claim(who, "attachment", a.ID)
			if !w.has(vpc.KindInstance, string(a.Instance)) {
				bad("dangling: %s is attached to %s", e.ID, a.Instance)
			}
		}
	}
	for _, l := range of[*vpc.PrefixList](w) {
		for n := l.Oldest; n <= l.Version; n++ {
			if w[(&vpc.PrefixListVersion{List: l.ID, Number: n}).Key()] == nil {
				bad("dangling: %s has no version %d", l.ID, n)
			}
		}
	}
	for _, v := range of[*vpc.PrefixListVersion](w) {
		l, _ := w[vpc.Key{Kind: vpc.KindPrefixList, ID: string(v.List)}].(*vpc.PrefixList)
		switch {
		case l == nil:
			bad("dangling: version %d of %s", v.Number, v.List)
		case v.Number < l.Oldest || v.Number > l.Version:
			bad("%s is at %d and has a version %d", l.ID, l.Version, v.Number)
		case v.Number == l.Version && len(v.Entries) > l.MaxEntries:
			bad("quota: %s has %d entries, and room for %d", l.ID, len(v.Entries), l.MaxEntries)
		}
	}
	active := map[vpc.VPCID]int{}
	for _, p := range of[*vpc.PeeringConnection](w) {
		if p.Status != vpc.PeeringActive && p.Status != vpc.PeeringPending {
			continue
		}
		for _, v := range []vpc.VPCID{p.Requester, p.Accepter} {
			if !w.has(vpc.KindVPC, string(v)) {
				bad("dangling: %s is %s with %s", p.ID, p.Status, v)
			}
			if p.Status == vpc.PeeringActive {
				active[v]++
			}
		}
		if p.Status == vpc.PeeringActive {
			claim(string(p.ID), "active peering", min(p.Requester, p.Accepter), max(p.Requester, p.Accepter))
		}
	}
	for v, n := range active {
		atMost(n, vpc.PeeringsPerVPC, string(v))
	}
	atMost(len(groups), vpc.SecurityGroupsPerRegion, "the region")
	atMost(len(of[*vpc.VPC](w)), vpc.VPCsPerRegion, "the region")
	atMost(len(of[*vpc.NetworkInterface](w)), vpc.InterfacesPerRegion, "the region")
	atMost(len(of[*vpc.PrefixList](w)), vpc.PrefixListsPerRegion, "the region")
	for _, v := range of[*vpc.VPC](w) {
		atMost(len(blocks[v.ID]), vpc.SubnetsPerVPC, string(v.ID))
	}
	return wrong
}

// facts returns what is true of the objects that callers change, each with the facts that it comes and
// goes with.
func (w world) facts() map[string][]string {
	f := map[string][]string{}
	tags := func(id string, tags vpc.Tags) {
		for k, v := range tags {
			f["tag "+id+" "+k+"="+v] = []string{"is " + id}
		}
	}
	for _, o := range w {
		switch o := o.(type) {
		case *vpc.VPC:
			f["is "+string(o.ID)] = nil
			tags(string(o.ID), o.Tags)
		case *vpc.Subnet:
			f["is "+string(o.ID)] = nil
			tags(string(o.ID), o.Tags)
		case *vpc.SecurityGroup:
			f["is "+string(o.ID)] = []string{"is " + string(o.VPC)} // the default group comes with its VPC
			tags(string(o.ID), o.Tags)
			for _, r := range o.Rules {
				f["is "+string(r.ID)] = []string{"is " + string(o.ID)}
				tags(string(r.ID), r.Tags)
			}
		case *vpc.NetworkInterface:
			f["is "+string(o.ID)] = nil
			tags(string(o.ID), o.Tags)
			for _, g := range o.Groups {
				f["carries "+string(o.ID)+" "+string(g)] = []string{"is " + string(o.ID)}
			}
			for _, a := range o.IPv4 {
				f["address "+string(o.ID)+" "+a.String()] = []string{"is " + string(o.ID)}
			}
		case *vpc.Instance:
			f["is "+string(o.ID)] = nil
			f["state "+string(o.ID)+" "+o.State.String()] = []string{"is " + string(o.ID)}
			tags(string(o.ID), o.Tags)
		case *vpc.PrefixList:
			f["is "+string(o.ID)] = nil
			tags(string(o.ID), o.Tags)
		case *vpc.PrefixListVersion:
			for _, e := range o.Entries {
				f[fmt.Sprintf("entry %s %d %s", o.List, o.Number, e.CIDR)] = []string{fmt.Sprintf("version %s %d", o.List, o.Number)}
			}
			f[fmt.Sprintf("version %s %d", o.List, o.Number)] = []string{"is " + string(o.List)}
		case *vpc.PeeringConnection:
			f["is "+string(o.ID)] = nil
			f["state "+string(o.ID)+" "+string(o.Status)] = []string{"is " + string(o.ID), "is " + string(o.Requester), "is " + string(o.Accepter)}
			tags(string(o.ID), o.Tags)
		}
	}
	return f
}

func matches(pattern, fact string) bool {
	start, star := strings.CutSuffix(pattern, "*")
	return fact == pattern || star && strings.HasPrefix(fact, start)
}

// untruths returns what is wrong with a history, by itself and in view of what callers were told. All
// that happens after the revision from must have been asked for by one of them.
func untruths(calls []call, history []revision, from int64) (found []string) {
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	at := map[int64][]*call{}
	for i := range calls {
		if c := &calls[i]; c.status == 200 {
			at[c.revision] = append(at[c.revision], c)
		} else if c.status >= 500 && c.code != string(vpc.CodeInsufficientInstanceCapacity) {
			report("%s: got %d %s", c.what, c.status, c.code)
		}
	}
	said := func(at []*call, fact string, which func(*call) []string) bool {
		return slices.ContainsFunc(at, func(c *call) bool {
			return slices.ContainsFunc(which(c), func(p string) bool { return matches(p, fact) })
		})
	}
	makes, ends := func(c *call) []string { return c.makes }, func(c *call) []string { return c.ends }
	undone := func(c *call, fact string) bool { // by another call of the same revision
		return slices.ContainsFunc(append(c.on, fact), func(f string) bool { return said(at[c.revision], f, ends) })
	}
	gone := map[string]int64{}         // ids that are no more
	numbers := map[uint32]vpc.RuleID{} // ever given
	before := map[string][]string{}    // facts
	known := map[int64]map[string][]string{0: before}
	for _, r := range history {
		if !r.fenced {
			report("revision %d passed the fence", r.number)
		}
		for _, wrong := range r.after.wrongs() {
			report("revision %d: %s", r.number, wrong)
		}
		for _, g := range of[*vpc.SecurityGroup](r.after) {
			for _, rule := range g.Rules {
				if other, ok := numbers[rule.Number]; ok && other != rule.ID {
					report("used twice: number %d is of %s and, at revision %d, of %s", rule.Number, other, r.number, rule.ID)
				}
				numbers[rule.Number] = rule.ID
			}
		}
		facts := r.after.facts()
		known[r.number] = facts
		for f, owners := range facts {
			if _, there := before[f]; there {
				continue
			}
			if strings.HasPrefix(f, "is ") && gone[f] != 0 {
				report("used twice: %s again at revision %d, ended at %d", f, r.number, gone[f])
			}
			came := func(o string) bool { _, was := before[o]; _, now := facts[o]; return was != now }
			if r.number > from && !said(at[r.number], f, makes) && !slices.ContainsFunc(owners, came) {
				report("unasked: %q since revision %d", f, r.number)
			}
		}
		for f, owners := range before {
			if _, there := facts[f]; there {
				continue
			}
			if strings.HasPrefix(f, "is ") {
				gone[f] = r.number
			}
			went := func(o string) bool { _, now := facts[o]; return !now }
			if r.number > from && !said(at[r.number], f, ends) && !slices.ContainsFunc(owners, went) {
				report("lost update: %q is gone with revision %d, and nobody ended it", f, r.number)
			}
		}
		before = facts
	}
	for i := range calls {
		c := &calls[i]
		if c.status != 200 || len(c.makes)+len(c.ends) == 0 {
			continue
		}
		facts, ok := known[c.revision]
		if !ok {
			report("%s: acknowledged at %d, which is no revision", c.what, c.revision)
			continue
		}
		for _, f := range c.makes {
			if _, is := facts[f]; !is && !strings.HasSuffix(f, "*") && !undone(c, f) {
				report("not visible: %s was acknowledged at %d, but not %q", c.what, c.revision, f)
			}
		}
		for _, p := range c.ends {
			for f := range facts {
				if matches(p, f) && !said(at[c.revision], f, makes) {
					report("not visible: %s was acknowledged at %d, but still %q", c.what, c.revision, f)
				}
			}
		}
	}
	return found
}
