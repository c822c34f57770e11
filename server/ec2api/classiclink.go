package ec2api

import (
	"slices"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) classicLinkActions() {
	handle(a, wire.DescribeVpcClassicLink, describeVpcClassicLink)
}

// describeVpcClassicLink says of every VPC that it is not linked to EC2-Classic, which is gone: Ansible's
// ec2_vpc_net asks before it does anything.
func describeVpcClassicLink(c *call, in *wire.DescribeVpcClassicLinkRequest) (*wire.DescribeVpcClassicLinkResult, error) {
	linked := false // whether only VPCs with a link are asked for
	others := slices.DeleteFunc(filters(in.Filters), func(f vpc.Filter) bool {
		if f.Name != "is-classic-link-enabled" {
			return false
		}
		linked = linked || !slices.Contains(f.Values, "false")
		return true
	})
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, _, err := s.DescribeVPCs(vpc.VPCQuery{IDs: ids[vpc.VPCID](in.VpcIds), Filters: others})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeVpcClassicLinkResult{}
	for _, v := range list {
		if !linked {
			out.Vpcs = append(out.Vpcs, wire.VpcClassicLink{ClassicLinkEnabled: new(false), Tags: tagSet(v.Tags), VpcId: text(v.ID)})
		}
	}
	return out, nil
}
