package e2e_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
)

// world is a VPC in which a test of one address family plays.
type world struct {
	d      *dev
	v6     bool
	vpc    string
	subnet string
}

// The host as guests see it.
var (
	outsideIPv4 = netip.MustParseAddr("198.51.100.1")
	outsideIPv6 = netip.MustParseAddr("2001:db8:ffff::1")
)

// ipv4World is the default VPC, ipv6World a second one with an IPv6 block, made by the test.
func ipv4World(t *testing.T, d *dev) *world {
	t.Helper()
	vpc := d.query(t, "Vpcs[0].VpcId", "describe-vpcs", "--filters", "Name=is-default,Values=true")
	subnet := d.query(t, "Subnets[0].SubnetId", "describe-subnets",
		"--filters", "Name=vpc-id,Values="+vpc, "Name=availability-zone,Values=us-east-1a")
	return &world{d: d, vpc: vpc, subnet: subnet}
}

func ipv6World(t *testing.T, d *dev) *world {
	t.Helper()
	vpc := d.query(t, "Vpc.VpcId", "create-vpc", "--cidr-block", "10.66.0.0/16", "--amazon-provided-ipv6-cidr-block")
	block := d.query(t, "Vpcs[0].Ipv6CidrBlockAssociationSet[0].Ipv6CidrBlock", "describe-vpcs", "--vpc-ids", vpc)
	p, err := netip.ParsePrefix(block)
	if err != nil || p.Bits() != 56 || !p.Addr().IsPrivate() {
		t.Fatalf("IPv6 block of the VPC is %q, want a /56 of a ULA prefix", block)
	}
	subnet := d.query(t, "Subnet.SubnetId", "create-subnet", "--vpc-id", vpc,
		"--cidr-block", "10.66.1.0/24", "--ipv6-cidr-block", netip.PrefixFrom(p.Addr(), 64).String())
	return &world{d: d, v6: true, vpc: vpc, subnet: subnet}
}

func (w *world) outsideAddr() netip.Addr {
	if w.v6 {
		return outsideIPv6
	}
	return outsideIPv4
}

// group makes a group and returns its id.
func (w *world) group(t *testing.T, name string) string {
	t.Helper()
	return w.d.query(t, "GroupId", "create-security-group", "--vpc-id", w.vpc, "--group-name", name, "--description", name+" of a test")
}

// defaultGroup returns the id of the VPC's default group.
func (w *world) defaultGroup(t *testing.T) string {
	t.Helper()
	return w.d.query(t, "SecurityGroups[0].GroupId", "describe-security-groups",
		"--filters", "Name=vpc-id,Values="+w.vpc, "Name=group-name,Values=default")
}

// anyone is the source that is every address of the world's family.
const anyone = ""

// permission is one element of --ip-permissions. The peer is anyone, a group id or an address; ports
// are from and to, or type and code for ICMP.
func (w *world) permission(proto string, from, to int, peer string) string {
	s := "IpProtocol=" + proto
	if proto != "-1" {
		s += fmt.Sprintf(",FromPort=%d,ToPort=%d", from, to)
	}
	switch {
	case strings.HasPrefix(peer, "sg-"):
		return s + ",UserIdGroupPairs=[{GroupId=" + peer + "}]"
	case w.v6 && peer == anyone:
		return s + ",Ipv6Ranges=[{CidrIpv6=::/0}]"
	case w.v6:
		return s + ",Ipv6Ranges=[{CidrIpv6=" + peer + "/128}]"
	case peer == anyone:
		return s + ",IpRanges=[{CidrIp=0.0.0.0/0}]"
	default:
		return s + ",IpRanges=[{CidrIp=" + peer + "/32}]"
	}
}

// rules changes rules and waits until that is in force. verb is authorize or revoke, direction ingress or
// egress.
func (w *world) rules(t *testing.T, verb, direction, group string, permissions ...string) {
	t.Helper()
	args := append([]string{verb + "-security-group-" + direction, "--group-id", group, "--ip-permissions"}, permissions...)
	w.d.aws(t, nil, args...)
	w.d.inForce(t)
}

// guest is a running lab guest.
type guest struct {
	place
	eni  string
	addr netip.Addr // of the world's family
}

// run starts a guest with groups on its primary interface and waits until it runs and is filtered.
func (w *world) run(t *testing.T, groups ...string) guest {
	t.Helper()
	args := []string{"run-instances", "--image-id", w.image(t), "--subnet-id", w.subnet, "--security-group-ids"}
	args = append(args, groups...)
	if w.v6 {
		args = append(args, "--ipv6-address-count", "1")
	}
	id := w.d.query(t, "Instances[0].InstanceId", args...)
	g := w.running(t, id)
	w.d.inForce(t)
	return g
}

func (w *world) image(t *testing.T) string {
	t.Helper()
	return w.d.query(t, "Images[0].ImageId", "describe-images", "--filters", "Name=name,Values=netns")
}

// running waits until an instance runs and says where it is.
func (w *world) running(t *testing.T, id string) guest {
	t.Helper()
	g := guest{place: place(id)}
	eventually(t, id+" runs", func() error {
		var out struct {
			Reservations []struct {
				Instances []struct {
					State             struct{ Name string }
					NetworkInterfaces []struct {
						NetworkInterfaceId string
						PrivateIpAddress   netip.Addr
						Ipv6Addresses      []struct{ Ipv6Address netip.Addr }
						Attachment         struct{ DeviceIndex int }
					}
				}
			}
		}
		w.d.aws(t, &out, "describe-instances", "--instance-ids", id)
		i := out.Reservations[0].Instances[0]
		if i.State.Name != "running" {
			return fmt.Errorf("it is %s", i.State.Name)
		}
		for _, n := range i.NetworkInterfaces {
			if n.Attachment.DeviceIndex != 0 {
				continue
			}
			g.eni, g.addr = n.NetworkInterfaceId, n.PrivateIpAddress
			if w.v6 {
				g.addr = n.Ipv6Addresses[0].Ipv6Address
			}
		}
		return nil
	})
	return g
}

// ping reports whether one echo request from a place is answered. Whoever wants that waits longer.
func (p place) ping(wanted bool, addr netip.Addr) bool {
	wait := "1" // s
	if wanted {
		wait = "60"
	}
	args := []string{"ping", "-n", "-c", "1", "-W", wait, addr.String()}
	if p != outside {
		args = append([]string{"ip", "netns", "exec", string(p)}, args...)
	}
	return exec.Command(args[0], args[1:]...).Run() == nil
}
