package vpc_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// listWorld has a VPC with three groups and six interfaces, made one minute after the other.
func listWorld() *vpc.State {
	minute := func(n int) time.Time { return time.Date(2026, 1, 2, 3, n, 0, 0, time.UTC) }
	puts := []vpc.Object{
		&vpc.Installation{Account: "123456789012", Region: "us-east-1"},
		&vpc.VPC{ID: "vpc-1", CIDRs: []vpc.CIDRAssociation{{CIDR: netip.MustParsePrefix("10.0.0.0/16")}}, Tags: vpc.Tags{"Name": "main"}},
		&vpc.Subnet{ID: "subnet-1", VPC: "vpc-1", Zone: "us-east-1a", CIDR: netip.MustParsePrefix("10.0.0.0/20")},
		&vpc.SecurityGroup{
			ID: "sg-web", VPC: "vpc-1", Name: "web", Description: "the front", Created: minute(1),
			Rules: []vpc.Rule{
				{ID: "sgr-1", Number: 1, Protocol: vpc.TCP, From: 443, To: 443, Peer: vpc.Peer{CIDR: netip.MustParsePrefix("0.0.0.0/0")}},
				{ID: "sgr-2", Number: 2, Egress: true, Protocol: vpc.AllProtocols, From: -1, To: -1, Peer: vpc.Peer{CIDR: netip.MustParsePrefix("0.0.0.0/0")}},
			},
		},
		&vpc.SecurityGroup{
			ID: "sg-db", VPC: "vpc-1", Name: "db", Description: "PostgreSQL", Created: minute(2), Tags: vpc.Tags{"Environment": "prod"},
			Rules: []vpc.Rule{
				{ID: "sgr-3", Number: 3, Protocol: vpc.TCP, From: 5432, To: 5432, Peer: vpc.Peer{Group: "sg-web"}},
				{ID: "sgr-4", Number: 4, Protocol: vpc.TCP, From: 5432, To: 5433, Peer: vpc.Peer{PrefixList: "pl-1"}, Description: "the office"},
				{ID: "sgr-5", Number: 5, Protocol: vpc.TCP, From: 22, To: 22, Peer: vpc.Peer{CIDR: netip.MustParsePrefix("10.0.0.0/24")}},
			},
		},
		&vpc.SecurityGroup{ID: "sg-idle", VPC: "vpc-1", Name: "Idle", Created: minute(3)},
		&vpc.PrefixList{ID: "pl-1", Name: "office", Version: 1, MaxEntries: 4},
		&vpc.PrefixListVersion{List: "pl-1", Number: 1, Entries: []vpc.PrefixListEntry{{CIDR: netip.MustParsePrefix("192.0.2.0/24"), Description: "first floor"}}},
		&vpc.Instance{ID: "i-1", State: vpc.Running, Image: vpc.ImageNetns, Tags: vpc.Tags{"Name": "front"}},
	}
	for n, addr := range []string{"10.0.0.9", "10.0.0.10", "10.0.0.100", "10.0.1.1", "10.0.1.2", "10.0.15.3"} {
		e := &vpc.NetworkInterface{
			ID: vpc.InterfaceID(fmt.Sprintf("eni-%d", n)), VPC: "vpc-1", Subnet: "subnet-1", Created: minute(10 - n),
			IPv4: []netip.Addr{netip.MustParseAddr(addr)}, Groups: []vpc.GroupID{"sg-web"}, MAC: vpc.MAC{2, 0, 0, 0, 0, byte(n)},
		}
		switch n {
		case 1:
			e.Groups = []vpc.GroupID{"sg-db", "sg-web"}
			e.Tags = vpc.Tags{"Name": "Main database"}
		case 2:
			e.Attachment = &vpc.Attachment{ID: "eni-attach-1", Instance: "i-1"}
			e.Description = "attached one"
		case 3:
			e.IPv6 = []netip.Addr{netip.MustParseAddr("fd00::1")}
			e.Tags = vpc.Tags{"Name": "archive"}
		}
		puts = append(puts, e)
	}
	return (*vpc.State).Apply(new(vpc.State), vpc.Change{Puts: puts}, 7)
}

func TestSelectResources(t *testing.T) {
	s := listWorld()
	eni := "network-interface"
	for name, tt := range map[string]struct {
		query vpc.ResourceQuery
		want  string // ids; matched/total
	}{
		"in order of creation":      {vpc.ResourceQuery{Type: eni}, "eni-5 eni-4 eni-3 eni-2 eni-1 eni-0 6/6"},
		"addresses by value":        {vpc.ResourceQuery{Type: eni, SortBy: "private-ip-address"}, "eni-0 eni-1 eni-2 eni-3 eni-4 eni-5 6/6"},
		"descending":                {vpc.ResourceQuery{Type: eni, SortBy: "private-ip-address", Descending: true, Max: 2}, "eni-5 eni-4 6/6"},
		"a page":                    {vpc.ResourceQuery{Type: eni, SortBy: "private-ip-address", Offset: 2, Max: 2}, "eni-2 eni-3 6/6"},
		"behind the end":            {vpc.ResourceQuery{Type: eni, Offset: 10}, " 6/6"},
		"no value comes last":       {vpc.ResourceQuery{Type: eni, SortBy: "tag:Name", Max: 3}, "eni-3 eni-1 eni-0 6/6"},
		"so it does descending":     {vpc.ResourceQuery{Type: eni, SortBy: "tag:Name", Descending: true, Max: 3}, "eni-1 eni-3 eni-0 6/6"},
		"equals":                    {vpc.ResourceQuery{Type: eni, Filters: where("group-name", "=", "db")}, "eni-1 1/6"},
		"equals, an address":        {vpc.ResourceQuery{Type: eni, Filters: where("ipv6-address", "=", "FD00:0::1")}, "eni-3 1/6"},
		"does not equal":            {vpc.ResourceQuery{Type: eni, Filters: where("group-name", "!=", "web")}, " 0/6"},
		"has no value":              {vpc.ResourceQuery{Type: eni, Filters: where("attachment.instance-id", "=", ""), Max: 1}, "eni-5 5/6"},
		"has a value":               {vpc.ResourceQuery{Type: eni, Filters: where("attachment.instance-id", "!=", "")}, "eni-2 1/6"},
		"contains, whatever case":   {vpc.ResourceQuery{Type: eni, Filters: where("tag:Name", ":", "DATA")}, "eni-1 1/6"},
		"contains not":              {vpc.ResourceQuery{Type: eni, Filters: where("tag:Name", "!:", "data"), Max: 1}, "eni-5 5/6"},
		"lies in a block":           {vpc.ResourceQuery{Type: eni, Filters: where("private-ip-address", ":", "10.0.0.0/25"), SortBy: "private-ip-address"}, "eni-0 eni-1 eni-2 3/6"},
		"lies in none":              {vpc.ResourceQuery{Type: eni, Filters: where("private-ip-address", "!:", "10.0.0.0/16")}, " 0/6"},
		"starts with":               {vpc.ResourceQuery{Type: eni, Filters: where("tag:Name", "^", "arch")}, "eni-3 1/6"},
		"starts not with":           {vpc.ResourceQuery{Type: eni, Filters: where("private-ip-address", "!^", "10.0.0.")}, "eni-5 eni-4 eni-3 3/6"},
		"greater, an address":       {vpc.ResourceQuery{Type: eni, Filters: where("private-ip-address", ">", "10.0.1.1")}, "eni-5 eni-4 2/6"},
		"at most":                   {vpc.ResourceQuery{Type: eni, Filters: where("private-ip-address", "<=", "10.0.0.10")}, "eni-1 eni-0 2/6"},
		"free text":                 {vpc.ResourceQuery{Type: eni, Filters: where("", "", "front")}, "eni-2 1/6"},
		"free text not":             {vpc.ResourceQuery{Type: eni, Filters: where("", "!:", "front")}, "eni-5 eni-4 eni-3 eni-1 eni-0 5/6"},
		"and":                       {vpc.ResourceQuery{Type: eni, Filters: where("group-id", "=", "sg-web", "tag:Name", ":", "a")}, "eni-3 eni-1 2/6"},
		"or":                        {vpc.ResourceQuery{Type: eni, Any: true, Filters: where("group-id", "=", "sg-db", "tag:Name", ":", "arch")}, "eni-3 eni-1 2/6"},
		"or of nothing":             {vpc.ResourceQuery{Type: eni, Any: true, Max: 1}, "eni-5 6/6"},
		"within a scope":            {vpc.ResourceQuery{Type: eni, Scope: where("group-id", "=", "sg-db"), Filters: where("tag:Name", ":", "arch")}, " 0/1"},
		"groups by their use":       {vpc.ResourceQuery{Type: "security-group", SortBy: "network-interface-count", Descending: true}, "sg-web sg-db sg-idle 3/3"},
		"groups nobody uses":        {vpc.ResourceQuery{Type: "security-group", Filters: where("network-interface-count", "=", "0")}, "sg-idle 1/3"},
		"names, whatever case":      {vpc.ResourceQuery{Type: "security-group", SortBy: "group-name"}, "sg-db sg-idle sg-web 3/3"},
		"rules by a number":         {vpc.ResourceQuery{Type: "security-group-rule", Filters: where("from-port", ">", "100"), SortBy: "from-port"}, "sgr-1 sgr-3 sgr-4 3/5"},
		"rules of a group":          {vpc.ResourceQuery{Type: "security-group-rule", Scope: where("group-id", "=", "sg-db"), Max: 1}, "sgr-3 3/3"},
		"lists by what they hold":   {vpc.ResourceQuery{Type: "prefix-list", Filters: where("cidr", ":", "192.0.0.0/16")}, "pl-1 1/1"},
		"instances by an interface": {vpc.ResourceQuery{Type: "instance", Filters: where("network-interface.private-ip-address", "=", "10.0.0.100")}, "i-1 1/1"},
		"VPCs":                      {vpc.ResourceQuery{Type: "vpc", Filters: where("", ":", "main")}, "vpc-1 1/1"},
		"subnets":                   {vpc.ResourceQuery{Type: "subnet", SortBy: "available-ip-address-count"}, "subnet-1 1/1"},
		"peering connections":       {vpc.ResourceQuery{Type: "vpc-peering-connection"}, " 0/0"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.query.Max == 0 {
				tt.query.Max = 10
			}
			r, err := s.SelectResources(tt.query)
			if got := fmt.Sprintf("%s %d/%d", strings.Join(r.IDs, " "), r.Matched, r.Total); err != nil || got != tt.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

// where makes filters of triples.
func where(words ...string) (out []vpc.ResourceFilter) {
	for f := range slices.Chunk(words, 3) {
		out = append(out, vpc.ResourceFilter{Property: f[0], Operator: f[1], Value: f[2]})
	}
	return out
}

func TestSelectResourcesRefuses(t *testing.T) {
	s := listWorld()
	for name, tt := range map[string]struct {
		query vpc.ResourceQuery
		want  vpc.Code
	}{
		"an unknown type":     {vpc.ResourceQuery{Type: "volume", Max: 1}, vpc.CodeInvalidParameterValue},
		"an unknown property": {vpc.ResourceQuery{Type: "vpc", Max: 1, Filters: where("color", "=", "red")}, vpc.CodeInvalidParameterValue},
		"an unknown order":    {vpc.ResourceQuery{Type: "vpc", Max: 1, SortBy: "color"}, vpc.CodeInvalidParameterValue},
		"an unknown operator": {vpc.ResourceQuery{Type: "vpc", Max: 1, Filters: where("vpc-id", "~", "x")}, vpc.CodeInvalidParameterValue},
		"no negated greater":  {vpc.ResourceQuery{Type: "vpc", Max: 1, Filters: where("vpc-id", "!>", "x")}, vpc.CodeInvalidParameterValue},
		"no number":           {vpc.ResourceQuery{Type: "vpc", Max: 1, Filters: where("subnet-count", ">", "many")}, vpc.CodeInvalidParameterValue},
		"no address":          {vpc.ResourceQuery{Type: "vpc", Max: 1, Filters: where("cidr", ">", "10.0.0")}, vpc.CodeInvalidParameterValue},
		"too many filters":    {vpc.ResourceQuery{Type: "vpc", Max: 1, Filters: slices.Repeat(where("", ":", "x"), 21)}, vpc.CodeFilterLimitExceeded},
		"a page of nothing":   {vpc.ResourceQuery{Type: "vpc"}, vpc.CodeInvalidParameterValue},
		"a huge page":         {vpc.ResourceQuery{Type: "vpc", Max: 1001}, vpc.CodeInvalidParameterValue},
		"before the start":    {vpc.ResourceQuery{Type: "vpc", Max: 1, Offset: -1}, vpc.CodeInvalidParameterValue},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := s.SelectResources(tt.query)
			if got := vpc.CodeOf(err); got != tt.want {
				t.Errorf("got %v, %v, want %s", r, err, tt.want)
			}
		})
	}
}

func TestResourceValues(t *testing.T) {
	s := listWorld()
	for name, tt := range map[string]struct {
		query vpc.ResourceValueQuery
		want  string
	}{
		"with counts":    {vpc.ResourceValueQuery{Type: "network-interface", Property: "group-name", Max: 10}, "[{db 1} {web 6}] false"},
		"by value":       {vpc.ResourceValueQuery{Type: "network-interface", Property: "private-ip-address", Max: 2}, "[{10.0.0.9 1} {10.0.0.10 1}] true"},
		"that contain":   {vpc.ResourceValueQuery{Type: "network-interface", Property: "tag:Name", Contains: "MAIN", Max: 10}, "[{Main database 1}] false"},
		"the tags' keys": {vpc.ResourceValueQuery{Type: "security-group", Property: "tag-key", Max: 10}, "[{Environment 1}] false"},
		"in a scope":     {vpc.ResourceValueQuery{Type: "security-group-rule", Property: "from-port", Scope: where("group-id", "=", "sg-db"), Max: 10}, "[{22 1} {5432 2}] false"},
	} {
		t.Run(name, func(t *testing.T) {
			values, more, err := s.ResourceValues(tt.query)
			if got := fmt.Sprint(values, more); err != nil || got != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
	if _, _, err := s.ResourceValues(vpc.ResourceValueQuery{Type: "vpc", Property: "color", Max: 1}); vpc.CodeOf(err) != vpc.CodeInvalidParameterValue {
		t.Errorf("an unknown property: got %v", err)
	}
}
