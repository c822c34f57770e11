package ec2api

import (
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) imageActions() { handle(a, wire.DescribeImages, describeImages) }

func describeImages(c *call, in *wire.DescribeImagesRequest) (*wire.DescribeImagesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, next, err := s.DescribeImages(vpc.ImageQuery{
		IDs:     in.ImageIds,
		Owners:  in.Owners,
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeImagesResult{NextToken: token(next)}
	for _, i := range list {
		out.Images = append(out.Images, wire.Image{
			Architecture:       new("x86_64"),
			CreationDate:       new(i.Created.Format("2006-01-02T15:04:05.000Z")),
			Description:        &i.Description,
			EnaSupport:         new(false),
			Hypervisor:         new("xen"),
			ImageId:            &i.ID,
			ImageLocation:      new(string(s.Installation().Account) + "/" + i.Name),
			ImageType:          new("machine"),
			Name:               &i.Name,
			OwnerId:            text(s.Installation().Account),
			PlatformDetails:    new("Linux/UNIX"),
			Public:             new(true),
			RootDeviceType:     new("instance-store"),
			State:              new("available"),
			VirtualizationType: new("hvm"),
		})
	}
	return out, nil
}
