package inquiry_test

import (
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/inquiry"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

func connection(change func(*inquiry.Connection)) *inquiry.Connection {
	c := &inquiry.Connection{
		Flow: inquiry.Flow{
			ENI: "eni-1", Protocol: 6, Local: netip.MustParseAddr("10.0.0.1"), Remote: netip.MustParseAddr("192.0.2.7"),
			LocalPort: 22, RemotePort: 4000, First: ruleset.Ingress,
		},
		State: inquiry.Established, Rule: 5, Today: ruleset.Verdict{Action: ruleset.Allow, Reason: ruleset.ReasonRule, Rule: 6},
	}
	change(c)
	return c
}

func same(*inquiry.Connection) {}

func TestMatch(t *testing.T) {
	icmp := func(c *inquiry.Connection) { c.Protocol = 1 }
	for name, tt := range map[string]struct {
		selection inquiry.Selection
		change    func(*inquiry.Connection)
		want      bool
	}{
		"no condition":          {inquiry.Selection{}, same, true},
		"its rule":              {inquiry.Selection{Rules: []uint32{4, 5}}, same, true},
		"today's rule":          {inquiry.Selection{Rules: []uint32{6}}, same, false},
		"its protocol":          {inquiry.Selection{Protocols: []uint8{17, 6}}, same, true},
		"another protocol":      {inquiry.Selection{Protocols: []uint8{17}}, same, false},
		"its remote":            {inquiry.Selection{Remotes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, same, true},
		"its local":             {inquiry.Selection{Remotes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, same, false},
		"its local port":        {inquiry.Selection{LocalPorts: []inquiry.Ports{{From: 22, To: 22}}}, same, true},
		"its remote port":       {inquiry.Selection{LocalPorts: []inquiry.Ports{{From: 4000, To: 4000}}}, same, false},
		"a range":               {inquiry.Selection{RemotePorts: []inquiry.Ports{{From: 1, To: 2}, {From: 4000, To: 5000}}}, same, true},
		"an id is no port":      {inquiry.Selection{LocalPorts: []inquiry.Ports{{From: 0, To: 65535}}}, icmp, false},
		"its state":             {inquiry.Selection{States: []inquiry.State{inquiry.Established}}, same, true},
		"another state":         {inquiry.Selection{States: []inquiry.State{inquiry.HalfOpen}}, same, false},
		"its direction":         {inquiry.Selection{Directions: []ruleset.Direction{ruleset.Ingress}}, same, true},
		"another direction":     {inquiry.Selection{Directions: []ruleset.Direction{ruleset.Egress}}, same, false},
		"refused":               {inquiry.Selection{Refused: new(true)}, same, false},
		"not refused":           {inquiry.Selection{Refused: new(false)}, same, true},
		"refused, and it is":    {inquiry.Selection{Refused: new(true)}, func(c *inquiry.Connection) { c.Today = ruleset.Verdict{Reason: ruleset.ReasonNoRule} }, true},
		"observed":              {inquiry.Selection{Observed: new(true)}, same, false},
		"observed, and it is":   {inquiry.Selection{Observed: new(true)}, func(c *inquiry.Connection) { c.Observed = true }, true},
		"one of two conditions": {inquiry.Selection{Rules: []uint32{5}, Protocols: []uint8{17}}, same, false},
	} {
		if got := tt.selection.Match(connection(tt.change)); got != tt.want {
			t.Errorf("%s: got %t, want %t", name, got, tt.want)
		}
	}
}

// The packet that started a connection is seen from its sender.
func TestPacket(t *testing.T) {
	local, remote := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.7")
	for name, tt := range map[string]struct {
		change func(*inquiry.Connection)
		want   ruleset.Packet
	}{
		"ingress": {same, ruleset.Packet{Src: remote, Dst: local, Protocol: 6, SrcPort: 4000, DstPort: 22}},
		"egress":  {func(c *inquiry.Connection) { c.First = ruleset.Egress }, ruleset.Packet{Src: local, Dst: remote, Protocol: 6, SrcPort: 22, DstPort: 4000}},
		"echo":    {func(c *inquiry.Connection) { c.Protocol, c.LocalPort, c.RemotePort = 1, 77, 8 }, ruleset.Packet{Src: remote, Dst: local, Protocol: 1, ICMPType: 8}},
	} {
		if got := connection(tt.change).Packet(); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

// Every part of a flow tells it from others, and puts it before or behind them.
func TestCompare(t *testing.T) {
	base := connection(same).Flow
	for name, change := range map[string]func(*inquiry.Flow){
		"interface":   func(f *inquiry.Flow) { f.ENI = "eni-2" },
		"protocol":    func(f *inquiry.Flow) { f.Protocol++ },
		"local":       func(f *inquiry.Flow) { f.Local = f.Local.Next() },
		"remote":      func(f *inquiry.Flow) { f.Remote = f.Remote.Next() },
		"local port":  func(f *inquiry.Flow) { f.LocalPort++ },
		"remote port": func(f *inquiry.Flow) { f.RemotePort++ },
		"direction":   func(f *inquiry.Flow) { f.First = ruleset.Egress },
	} {
		other := base
		change(&other)
		if base.Compare(other) >= 0 || other.Compare(base) <= 0 || base.Compare(base) != 0 {
			t.Errorf("%s makes no order", name)
		}
	}
	if (inquiry.Flow{}).Compare(base) >= 0 {
		t.Error("nothing comes before the first flow")
	}
}

func FuzzFilters(f *testing.F) {
	for _, name := range []string{"protocol", "remote-cidr", "local-port", "state", "direction", "rule-number", "x"} {
		f.Add(name, "1-2")
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		var s inquiry.Selection
		err := s.AddFilters([]vpc.Filter{{Name: name, Values: []string{value}}})
		if err != nil && vpc.CodeOf(err) == "" {
			t.Errorf("%v is no refusal", err)
		}
		if err == nil {
			if err := (inquiry.Question{Cut: &s}).Check(); err != nil {
				t.Errorf("%s=%q is accepted, and cannot be asked: %v", name, value, err)
			}
		}
	})
}
