package store_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/ec2apitest"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

// 64 clients, on two servers, each ask for what one of them can still have: they get exactly the limit,
// and the others EC2's refusal.
func TestLimitsAreExact(t *testing.T) {
	const (
		callers = 64
		limit   = 9
	)
	endpoints := storetest.Etcd(t)
	var addrs []string
	for n := range 2 {
		s := storetest.Start(t, store.Options{Endpoints: endpoints, Log: quiet()})
		if n == 0 {
			install(t, s, map[vpc.QuotaName]int{
				vpc.SecurityGroupsPerRegion: limit, vpc.RulesPerSecurityGroup: limit, vpc.SecurityGroupsPerInterface: limit,
				vpc.VPCsPerRegion: limit, vpc.SubnetsPerVPC: limit, vpc.InterfacesPerRegion: limit, vpc.PrefixListsPerRegion: limit,
				vpc.AddressesPerInterface: limit, vpc.InstancesPerHost: limit, vpc.OutstandingPeerings: limit,
				vpc.EntriesPerPrefixList: 1, vpc.VersionsPerPrefixList: 1, vpc.CIDRsPerVPC: limit, vpc.PeeringsPerVPC: 1,
			})
		}
		addrs = append(addrs, serveAPI(t, s))
	}
	addr := roundRobin(t, addrs)
	setup := newClient(t, addr)
	group := must(t, setup, "CreateSecurityGroup", "GroupName", "first", "GroupDescription", "d").Text("groupId")
	subnet := must(t, setup, "DescribeSubnets").Text("subnetId")
	eni := must(t, setup, "CreateNetworkInterface", "SubnetId", subnet).Text("networkInterfaceId")
	home := must(t, setup, "DescribeVpcs").Text("vpcId")
	form := ec2apitest.Form
	for _, tt := range []struct {
		name, code, describe, element string
		there                         int // of the limit, already
		form                          func(n int) url.Values
	}{
		{"rules", "RulesPerSecurityGroupLimitExceeded", "", "", 0, func(n int) url.Values {
			return form("AuthorizeSecurityGroupIngress", "GroupId", group, "IpPermissions.1.IpProtocol", "tcp",
				"IpPermissions.1.FromPort", fmt.Sprint(n), "IpPermissions.1.ToPort", fmt.Sprint(n), "IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8")
		}},
		{"addresses", "PrivateIpAddressLimitExceeded", "", "", 1, func(int) url.Values {
			return form("AssignPrivateIpAddresses", "NetworkInterfaceId", eni, "SecondaryPrivateIpAddressCount", "1")
		}},
		{"interfaces", "NetworkInterfaceLimitExceeded", "DescribeNetworkInterfaces", "macAddress", 1, func(int) url.Values {
			return form("CreateNetworkInterface", "SubnetId", subnet, "SecurityGroupId.1", group)
		}},
		{"lists", "ResourceLimitExceeded", "DescribeManagedPrefixLists", "prefixListId", 0, func(n int) url.Values {
			return form("CreateManagedPrefixList", "PrefixListName", fmt.Sprint("l", n), "AddressFamily", "IPv4", "MaxEntries", "1")
		}},
		{"groups", "SecurityGroupLimitExceeded", "DescribeSecurityGroups", "groupDescription", 2, func(n int) url.Values {
			return form("CreateSecurityGroup", "GroupName", fmt.Sprint("g", n), "GroupDescription", "d", "VpcId", home)
		}},
		{"subnets", "SubnetLimitExceeded", "", "", -1, func(n int) url.Values {
			return form("CreateSubnet", "VpcId", home, "CidrBlock", fmt.Sprintf("172.31.%d.0/24", 128+n))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.there < 0 {
				tt.there = len(must(t, setup, "DescribeSubnets").Texts("subnetId"))
			}
			var made, refused atomic.Int64
			var wg sync.WaitGroup
			begin := make(chan struct{})
			for n := range callers {
				c := newClient(t, addr)
				wg.Go(func() {
					<-begin
					switch a, err := c.Do(context.Background(), tt.form(n)); {
					case err != nil:
						t.Error(err)
					case a.Status == http.StatusOK:
						made.Add(1)
					case a.Code() == tt.code:
						refused.Add(1)
					default:
						t.Errorf("%d %s", a.Status, a.Body)
					}
				})
			}
			close(begin)
			wg.Wait()
			if made.Load() != int64(limit-tt.there) || made.Load()+refused.Load() != callers {
				t.Errorf("%d made and %d refused, want %d and %d", made.Load(), refused.Load(), limit-tt.there, callers-limit+tt.there)
			}
			if tt.describe != "" {
				if got := len(must(t, setup, tt.describe).Texts(tt.element)); got != limit {
					t.Errorf("%s shows %d, want %d", tt.describe, got, limit)
				}
			}
		})
	}
	t.Run("vpcs", func(t *testing.T) {
		// Each brings a default group: room for those first.
		s := storetest.Start(t, store.Options{Endpoints: endpoints, Log: quiet(), Timeout: time.Minute})
		update(t, s, func(s *vpc.State) (vpc.Change, error) {
			i := *s.Installation()
			i.Quotas = map[vpc.QuotaName]int{vpc.VPCsPerRegion: limit, vpc.SecurityGroupsPerRegion: 100}
			return vpc.Change{Puts: []vpc.Object{&i}}, nil
		})
		var made atomic.Int64
		var wg sync.WaitGroup
		for range callers {
			c := newClient(t, addr)
			wg.Go(func() {
				switch a, err := c.Do(context.Background(), form("CreateVpc", "CidrBlock", "10.0.0.0/16")); {
				case err == nil && a.Status == http.StatusOK:
					made.Add(1)
				case err != nil || a.Code() != "VpcLimitExceeded":
					t.Errorf("%v %s", err, a.Body)
				}
			})
		}
		wg.Wait()
		if got := len(must(t, setup, "DescribeVpcs").Texts("isDefault")); made.Load() != limit-1 || got != limit {
			t.Errorf("%d made, there are %d; want %d and %d", made.Load(), got, limit-1, limit)
		}
	})
}
