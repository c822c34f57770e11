package ec2api_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestConcurrentAddresses has more clients ask for addresses than there are: exactly as many get one
// as may, and nobody gets what another has.
func TestConcurrentAddresses(t *testing.T) {
	const clients = 64
	for name, tt := range map[string]struct {
		request url.Values
		want    int
		code    string
	}{
		"of one interface": {
			url.Values{
				"Action": {"AssignPrivateIpAddresses"}, "NetworkInterfaceId": {"eni-00000000000000001"}, "SecondaryPrivateIpAddressCount": {"1"},
			}, 49, "PrivateIpAddressLimitExceeded", // the fiftieth is the primary
		},
		"prefixes of one interface": {
			url.Values{
				"Action": {"AssignPrivateIpAddresses"}, "NetworkInterfaceId": {"eni-00000000000000001"}, "Ipv4PrefixCount": {"1"},
			}, 49, "PrivateIpAddressLimitExceeded",
		},
		"of one small subnet": {
			url.Values{"Action": {"CreateNetworkInterface"}, "SubnetId": {"subnet-00000000000000004"}},
			11, "InsufficientFreeAddressesInSubnet",
		},
		"one address by name": {
			url.Values{
				"Action": {"CreateNetworkInterface"}, "SubnetId": {"subnet-00000000000000001"}, "PrivateIpAddress": {"172.31.0.77"},
			}, 1, "InvalidIPAddress.InUse",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t)
			for _, form := range []url.Values{
				{"Action": {"CreateNetworkInterface"}, "SubnetId": {"subnet-00000000000000001"}, "PrivateIpAddress": {"172.31.0.9"}},
				{"Action": {"CreateVpc"}, "CidrBlock": {"10.0.0.0/16"}},
				{"Action": {"CreateSubnet"}, "VpcId": {"vpc-00000000000000002"}, "CidrBlock": {"10.0.0.0/28"}},
			} {
				if a := e.call(form); a.status != http.StatusOK {
					t.Fatalf("%v: %s", form, a.body)
				}
			}
			answers := make([]answer, clients)
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() { answers[i] = e.call(tt.request) })
			}
			wg.Wait()
			got := 0
			for _, a := range answers {
				if a.status == http.StatusOK {
					got++
				} else if a.status != http.StatusBadRequest || !strings.Contains(a.body, "<Code>"+tt.code+"</Code>") {
					t.Errorf("got %d %s, want 400 %s", a.status, a.body, tt.code)
				}
			}
			if got != tt.want {
				t.Errorf("%d clients got one, want %d", got, tt.want)
			}
			seen := map[netip.Prefix]bool{}
			for eni := range e.state().NetworkInterfaces() {
				own := slices.Clone(eni.IPv4Prefixes)
				for _, address := range eni.IPv4 {
					own = append(own, netip.PrefixFrom(address, 32))
				}
				for _, p := range own {
					for other := range seen {
						if p.Overlaps(other) {
							t.Errorf("%s and %s are both given out", p, other)
						}
					}
					seen[p] = true
				}
			}
		})
	}
}
