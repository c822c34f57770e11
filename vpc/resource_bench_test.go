package vpc_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// BenchmarkSelectResources sorts and filters 100,000 interfaces of 2,500 groups. `make bench ARGS='-only
// console'` measures what a person waits for.
func BenchmarkSelectResources(b *testing.B) {
	const groups, enis = 2500, 100_000
	puts := []vpc.Object{
		&vpc.Installation{Account: "123456789012", Region: "us-east-1"},
		&vpc.VPC{ID: "vpc-1", CIDRs: []vpc.CIDRAssociation{{CIDR: netip.MustParsePrefix("10.0.0.0/8")}}},
		&vpc.Subnet{ID: "subnet-1", VPC: "vpc-1", Zone: "us-east-1a", CIDR: netip.MustParsePrefix("10.0.0.0/8")},
	}
	for i := range groups {
		puts = append(puts, &vpc.SecurityGroup{ID: vpc.GroupID(fmt.Sprintf("sg-%017x", i)), VPC: "vpc-1", Name: fmt.Sprintf("group-%05d", i)})
	}
	address := netip.MustParseAddr("10.0.0.16")
	for i := range enis {
		puts = append(puts, &vpc.NetworkInterface{
			ID: vpc.InterfaceID(fmt.Sprintf("eni-%017x", i)), VPC: "vpc-1", Subnet: "subnet-1",
			Created: time.Date(2026, 1, 2, 3, 4, 0, i*1000, time.UTC),
			MAC:     vpc.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}, IPv4: []netip.Addr{address},
			Groups: []vpc.GroupID{vpc.GroupID(fmt.Sprintf("sg-%017x", i%groups)), vpc.GroupID(fmt.Sprintf("sg-%017x", (i+7)%groups))},
			Tags:   vpc.Tags{"Name": fmt.Sprintf("eni-%06d", i)},
		})
		address = address.Next()
	}
	s := new(vpc.State).Apply(vpc.Change{Puts: puts}, 1)
	for name, q := range map[string]vpc.ResourceQuery{
		"AsMade":     {},
		"ByAddress":  {SortBy: "private-ip-address"},
		"ByGroup":    {SortBy: "group-name", Descending: true},
		"InBlock":    {SortBy: "tag:Name", Filters: where("private-ip-address", ":", "10.0.0.0/16")},
		"ByTwo":      {Filters: where("tag:Name", "^", "eni-00", "group-name", ":", "12")},
		"AnyText":    {Filters: where("", ":", "group-00012")},
		"NoSuchText": {Filters: where("", ":", "nobody has this")},
	} {
		b.Run(name, func(b *testing.B) {
			q.Type, q.Max = "network-interface", 50
			for b.Loop() {
				if _, err := s.SelectResources(q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Search", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Search(vpc.SearchQuery{Text: "nobody has this", Max: 50}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
