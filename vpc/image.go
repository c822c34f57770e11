package vpc

import (
	"slices"
	"time"
)

// Image is what an instance was made from. There are two, and they are part of the program.
type Image struct {
	ID          string // ami-…
	Name        string
	Description string
	Created     time.Time
}

// The images. An instance of ImageNetns is a lab guest: a network namespace that the agent of a host
// with Lab set runs. ImageExternal stands for guests that Sallyport did not start; it cannot be run.
const (
	ImageNetns    = "ami-0000000000000a1ab"
	ImageExternal = "ami-0000000000000e87e"
)

// imageCreated is when the first program that knew the images was made; clients sort images by it.
var imageCreated = time.Date(2026, time.November, 22, 0, 0, 0, 0, time.UTC)

var images = []*Image{
	{
		ID: ImageNetns, Name: "netns", Created: imageCreated,
		Description: "A lab guest: a network namespace on a host that runs with --lab",
	},
	{
		ID: ImageExternal, Name: "external", Created: imageCreated,
		Description: "A guest that was not started through this API and is bound to an interface",
	},
}

// findImage returns the image with that id, or InvalidAMIID.Malformed or InvalidAMIID.NotFound.
func findImage(id string) (*Image, error) {
	if _, err := ParseImageID(id); err != nil {
		return nil, err
	}
	for _, i := range images {
		if i.ID == id {
			return i, nil
		}
	}
	return nil, Errorf(CodeInvalidAMIIDNotFound, "The image id '[%s]' does not exist", id)
}

// ImageQuery selects images: those with the ids, or all, that have one of the owners and pass the
// filters.
type ImageQuery struct {
	IDs     []string
	Owners  []string // account ids, self, amazon; empty: all
	Filters []Filter
	Page    Page
}

// DescribeImages returns the images in order of their ids and the token of the next page. An unknown
// id fails the whole call.
func (s *State) DescribeImages(in ImageQuery) ([]*Image, string, error) {
	where, err := imageFields.Where(s, in.Filters, func(*Image) Tags { return nil })
	if err != nil {
		return nil, "", err
	}
	ours := len(in.Owners) == 0 || slices.Contains(in.Owners, "self") ||
		slices.Contains(in.Owners, string(s.Installation().Account))
	out, err := asked(in.IDs, slices.Values(images), findImage, func(i *Image) bool { return ours && where(i) })
	if err != nil {
		return nil, "", err
	}
	return paginate(out, "image", func(i *Image) string { return i.ID }, in.Page)
}

var imageFields = Fields[*Image]{
	"architecture":        constant[*Image]("x86_64"),
	"description":         func(_ *State, i *Image) []string { return []string{i.Description} },
	"hypervisor":          constant[*Image]("xen"),
	"image-id":            func(_ *State, i *Image) []string { return []string{i.ID} },
	"image-type":          constant[*Image]("machine"),
	"is-public":           constant[*Image]("true"),
	"name":                func(_ *State, i *Image) []string { return []string{i.Name} },
	"owner-alias":         none[*Image],
	"owner-id":            owner[*Image],
	"platform":            none[*Image],
	"root-device-name":    none[*Image],
	"root-device-type":    constant[*Image]("instance-store"),
	"state":               constant[*Image]("available"),
	"virtualization-type": constant[*Image]("hvm"),
}
