package ruleset_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

// TestUntracked says which flows the rules alone decide on.
func TestUntracked(t *testing.T) {
	const in, out = ruleset.Ingress, ruleset.Egress
	web := func(peer string) vpc.Rule { return rule("sgr-web", 1, vpc.TCP, 80, 80, peer) }
	all := func(n uint32, protocol vpc.Protocol, peer string) vpc.Rule {
		if protocol == vpc.TCP || protocol == vpc.UDP {
			return rule("sgr-all", n, protocol, 0, 65535, peer)
		}
		return rule("sgr-all", n, protocol, -1, -1, peer)
	}
	tcpIn, tcpOut := tcp("198.51.100.9", "10.0.0.5", 80), tcp("10.0.0.5", "198.51.100.9", 80)
	udpIn := tcpIn
	udpIn.Protocol = 17
	ping := ruleset.Packet{Src: tcpIn.Src, Dst: tcpIn.Dst, Protocol: 1, ICMPType: 8}
	for name, tt := range map[string]struct {
		rules []vpc.Rule
		d     ruleset.Direction
		p     ruleset.Packet
		want  bool
	}{
		"open both ways":                        {[]vpc.Rule{web("0.0.0.0/0"), egress(all(2, -1, "0.0.0.0/0"))}, in, tcpIn, true},
		"open by the protocol alone":            {[]vpc.Rule{web("0.0.0.0/0"), egress(all(2, vpc.TCP, "0.0.0.0/0"))}, in, tcpIn, true},
		"open by two halves":                    {[]vpc.Rule{web("0.0.0.0/0"), egress(rule("sgr-2", 2, vpc.TCP, 0, 999, "0.0.0.0/0")), egress(rule("sgr-3", 3, vpc.TCP, 1000, 65535, "0.0.0.0/0"))}, in, tcpIn, true},
		"one port is missing":                   {[]vpc.Rule{web("0.0.0.0/0"), egress(rule("sgr-2", 2, vpc.TCP, 0, 999, "0.0.0.0/0")), egress(rule("sgr-3", 3, vpc.TCP, 1001, 65535, "0.0.0.0/0"))}, in, tcpIn, false},
		"port 0 is missing":                     {[]vpc.Rule{web("0.0.0.0/0"), egress(rule("sgr-2", 2, vpc.TCP, 1, 65535, "0.0.0.0/0"))}, in, tcpIn, false},
		"open only for the other protocol":      {[]vpc.Rule{web("0.0.0.0/0"), egress(all(2, vpc.UDP, "0.0.0.0/0"))}, in, tcpIn, false},
		"open only for the other family":        {[]vpc.Rule{web("0.0.0.0/0"), egress(all(2, -1, "::/0"))}, in, tcpIn, false},
		"closed the other way":                  {[]vpc.Rule{web("0.0.0.0/0")}, in, tcpIn, false},
		"open to half of the world each":        {[]vpc.Rule{web("0.0.0.0/0"), egress(all(2, -1, "0.0.0.0/1")), egress(all(3, -1, "128.0.0.0/1"))}, in, tcpIn, false},
		"a narrow rule":                         {[]vpc.Rule{web("198.51.100.0/24"), egress(all(2, -1, "0.0.0.0/0"))}, in, tcpIn, false},
		"a narrow rule besides one for all":     {[]vpc.Rule{web("198.51.100.0/24"), rule("sgr-3", 3, vpc.TCP, 80, 80, "0.0.0.0/0"), egress(all(2, -1, "0.0.0.0/0"))}, in, tcpIn, true},
		"out, and not all may come in":          {[]vpc.Rule{web("0.0.0.0/0"), egress(all(2, -1, "0.0.0.0/0"))}, out, tcpOut, false},
		"out, and all may come in":              {[]vpc.Rule{all(1, -1, "0.0.0.0/0"), egress(all(2, -1, "0.0.0.0/0"))}, out, tcpOut, true},
		"UDP":                                   {[]vpc.Rule{all(1, -1, "0.0.0.0/0"), egress(all(2, -1, "0.0.0.0/0"))}, in, udpIn, true},
		"ICMP never":                            {[]vpc.Rule{all(1, -1, "0.0.0.0/0"), egress(all(2, -1, "0.0.0.0/0"))}, in, ping, false},
		"no rule lets it through":               {[]vpc.Rule{all(1, vpc.UDP, "0.0.0.0/0"), egress(all(2, -1, "0.0.0.0/0"))}, in, tcpIn, false},
		"the packet comes from somebody else's": {[]vpc.Rule{all(1, -1, "0.0.0.0/0"), egress(all(2, -1, "0.0.0.0/0"))}, out, tcpIn, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := oneENI(map[vpc.GroupID][]vpc.Rule{"sg-1": tt.rules})
			if got := ruleset.Untracked(v, "eni-1", tt.d, tt.p); got != tt.want {
				t.Errorf("Untracked() = %v, want %v", got, tt.want)
			}
			tables, members := new(ruleset.Compiler).Compile(v)
			verdict := tables.Judge(members, "eni-1", tt.d, tt.p)
			if got := tables.Untracked("eni-1", tt.d, tt.p, verdict); got != tt.want {
				t.Errorf("Tables.Untracked() = %v, want %v", got, tt.want)
			}
		})
	}
}

// TestUntrackedEqualsEvaluated compares the tables with the slow way over random universes in which
// more than usual is open to everybody.
func TestUntrackedEqualsEvaluated(t *testing.T) {
	seen := map[bool]int{}
	for seed := range uint64(300) {
		u := newUniverse(seed)
		v := ruleset.Resolve(u.state(), hosts[0])
		for _, id := range slices.Sorted(maps.Keys(v.Groups)) { // or a seed does not repeat
			g := v.Groups[id]
			for i := range g.Rules {
				if r := &g.Rules[i]; u.IntN(2) == 0 && r.Peer.CIDR.IsValid() {
					r.Peer.CIDR = prefixes(pick(u, []string{"0.0.0.0/0", "::/0"}))[0]
					switch {
					case u.IntN(2) == 0:
						r.Protocol, r.From, r.To = vpc.AllProtocols, -1, -1
					case (r.Protocol == vpc.TCP || r.Protocol == vpc.UDP) && u.IntN(2) == 0:
						r.From, r.To = 0, 65535
					}
				}
			}
			v.Groups[id] = g
		}
		tables, members := new(ruleset.Compiler).Compile(v)
		for _, id := range slices.Sorted(maps.Keys(v.ENIs)) {
			for range 10 {
				d := pick(u, directions)
				p := u.packetAt(v.ENIs[id], d)
				want := ruleset.Untracked(v, id, d, p)
				if got := tables.Untracked(id, d, p, tables.Judge(members, id, d, p)); got != want {
					t.Fatalf("seed %d, %s of %s, %+v: %v, evaluated %v", seed, d, id, p, got, want)
				}
				seen[want]++
			}
		}
	}
	if seen[true] < 100 || seen[false] < 100 {
		t.Errorf("%d untracked and %d others are too few to compare", seen[true], seen[false])
	}
}
