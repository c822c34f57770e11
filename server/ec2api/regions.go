package ec2api

import (
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) regionActions() {
	handle(a, wire.DescribeRegions, describeRegions)
	handle(a, wire.DescribeAvailabilityZones, describeAvailabilityZones)
	handle(a, wire.DescribeAccountAttributes, describeAccountAttributes)
}

const optInNotRequired = "opt-in-not-required"

// value makes the filter of a scalar of an answer.
func value[T any](get func(T) *string) func(*vpc.State, T) []string {
	return func(_ *vpc.State, o T) []string {
		if v := get(o); v != nil {
			return []string{*v}
		}
		return nil
	}
}

var regionFields = vpc.Fields[wire.Region]{
	"endpoint":      value(func(r wire.Region) *string { return r.Endpoint }),
	"opt-in-status": value(func(r wire.Region) *string { return r.OptInStatus }),
	"region-name":   value(func(r wire.Region) *string { return r.RegionName }),
}

// describeRegions knows one region: the installation's. Its endpoint is the one that was called.
func describeRegions(c *call, in *wire.DescribeRegionsRequest) (*wire.DescribeRegionsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	where, err := regionFields.Where(s, filters(in.Filters), nil)
	if err != nil {
		return nil, err
	}
	r := wire.Region{
		Endpoint: &c.host, OptInStatus: new(optInNotRequired), RegionName: &s.Installation().Region,
	}
	if err := known(in.RegionNames, []string{*r.RegionName}, "region name"); err != nil {
		return nil, err
	}
	out := &wire.DescribeRegionsResult{Regions: []wire.Region{}}
	if where(r) {
		out.Regions = append(out.Regions, r)
	}
	return out, nil
}

var zoneFields = vpc.Fields[wire.AvailabilityZone]{
	"group-long-name":  value(func(z wire.AvailabilityZone) *string { return z.GroupLongName }),
	"group-name":       value(func(z wire.AvailabilityZone) *string { return z.GroupName }),
	"message":          func(*vpc.State, wire.AvailabilityZone) []string { return nil },
	"opt-in-status":    value(func(z wire.AvailabilityZone) *string { return z.OptInStatus }),
	"parent-zone-id":   value(func(z wire.AvailabilityZone) *string { return z.ParentZoneId }),
	"parent-zone-name": value(func(z wire.AvailabilityZone) *string { return z.ParentZoneName }),
	"region-name":      value(func(z wire.AvailabilityZone) *string { return z.RegionName }),
	"state":            value(func(z wire.AvailabilityZone) *string { return z.State }),
	"zone-id":          value(func(z wire.AvailabilityZone) *string { return z.ZoneId }),
	"zone-name":        value(func(z wire.AvailabilityZone) *string { return z.ZoneName }),
	"zone-type":        value(func(z wire.AvailabilityZone) *string { return z.ZoneType }),
}

func describeAvailabilityZones(
	c *call, in *wire.DescribeAvailabilityZonesRequest,
) (*wire.DescribeAvailabilityZonesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	where, err := zoneFields.Where(s, filters(in.Filters), nil)
	if err != nil {
		return nil, err
	}
	region := s.Installation().Region
	var names, zoneIDs []string
	for _, z := range s.Zones() {
		names, zoneIDs = append(names, z.Name), append(zoneIDs, z.ID)
	}
	if err := known(in.ZoneNames, names, "availability zone"); err != nil {
		return nil, err
	}
	if err := known(in.ZoneIds, zoneIDs, "availability zone-id"); err != nil {
		return nil, err
	}
	out := &wire.DescribeAvailabilityZonesResult{AvailabilityZones: []wire.AvailabilityZone{}}
	for _, z := range s.Zones() {
		chosen := (len(in.ZoneNames) == 0 || slices.Contains(in.ZoneNames, z.Name)) &&
			(len(in.ZoneIds) == 0 || slices.Contains(in.ZoneIds, z.ID))
		w := wire.AvailabilityZone{
			GroupLongName:      new(region + " 1"),
			GroupName:          new(region + "-zg-1"),
			Messages:           []wire.AvailabilityZoneMessage{},
			NetworkBorderGroup: &region,
			OptInStatus:        new(optInNotRequired),
			RegionName:         &region,
			State:              new("available"),
			ZoneId:             &z.ID,
			ZoneName:           &z.Name,
			ZoneType:           new("availability-zone"),
		}
		if chosen && where(w) {
			out.AvailabilityZones = append(out.AvailabilityZones, w)
		}
	}
	return out, nil
}

// known refuses names that are not among those that there are, and says what they are no names of.
func known(asked, there []string, what string) error {
	for _, name := range asked {
		if !slices.Contains(there, name) {
			return vpc.Errorf(vpc.CodeInvalidParameterValue, "Invalid %s: [%s]", what, name)
		}
	}
	return nil
}

// describeAccountAttributes answers what there are: no Elastic IP addresses, and as many instances as
// the hosts that run lab guests have room for.
func describeAccountAttributes(
	c *call, in *wire.DescribeAccountAttributesRequest,
) (*wire.DescribeAccountAttributesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	defaultVPC, instances := "none", 0
	if id := s.Installation().DefaultVPC; id != "" {
		defaultVPC = string(id)
	}
	for h := range s.Hosts() {
		if h.Lab {
			instances += s.Quota(vpc.InstancesPerHost)
		}
	}
	attributes := []struct{ name, value string }{
		{"supported-platforms", "VPC"},
		{"default-vpc", defaultVPC},
		{"vpc-max-security-groups-per-interface", strconv.Itoa(s.Quota(vpc.SecurityGroupsPerInterface))},
		{"max-instances", strconv.Itoa(instances)},
		{"max-elastic-ips", "0"},
		{"vpc-max-elastic-ips", "0"},
	}
	var names []string
	for _, a := range attributes {
		names = append(names, a.name)
	}
	if err := known(in.AttributeNames, names, "attribute name"); err != nil {
		return nil, err
	}
	out := &wire.DescribeAccountAttributesResult{}
	for _, a := range attributes {
		if len(in.AttributeNames) == 0 || slices.Contains(in.AttributeNames, a.name) {
			out.AccountAttributes = append(out.AccountAttributes, wire.AccountAttribute{
				AttributeName: &a.name, AttributeValues: []wire.AccountAttributeValue{{AttributeValue: &a.value}},
			})
		}
	}
	return out, nil
}
