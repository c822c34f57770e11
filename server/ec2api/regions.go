package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) regionActions() {
	handle(a, wire.DescribeRegions, describeRegions)
	handle(a, wire.DescribeAvailabilityZones, describeAvailabilityZones)
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
	for _, name := range in.RegionNames {
		if name != *r.RegionName {
			return nil, vpc.Errorf(vpc.CodeInvalidParameterValue, "Invalid region name: [%s]", name)
		}
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
	asked := map[string]bool{} // by name or id: still to be found
	for _, z := range append(in.ZoneNames, in.ZoneIds...) {
		asked[z] = true
	}
	all := len(asked) == 0
	out := &wire.DescribeAvailabilityZonesResult{AvailabilityZones: []wire.AvailabilityZone{}}
	for _, z := range s.Zones() {
		chosen := all || asked[z.Name] || asked[z.ID]
		delete(asked, z.Name)
		delete(asked, z.ID)
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
	for _, name := range append(in.ZoneNames, in.ZoneIds...) {
		if asked[name] {
			return nil, vpc.Errorf(vpc.CodeInvalidParameterValue, "Invalid availability zone: [%s]", name)
		}
	}
	return out, nil
}
