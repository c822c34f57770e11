package vpc

import (
	"slices"
	"strconv"
	"strings"
)

// instanceTypes are those that are listed though no instance has them. There are as many types as
// names, and all are alike: a guest has what its host has.
var instanceTypes = []string{"c5.large", defaultInstanceType, "m5.large", "t3.medium", "t3.micro", "t3.nano", "t3.small"}

// InstanceTypeQuery selects instance types: those named, or those listed, that pass the filters.
type InstanceTypeQuery struct {
	Names   []string
	Filters []Filter
	Page    Page
}

// DescribeInstanceTypes returns the names of the types in order, and the token of the next page.
func (s *State) DescribeInstanceTypes(in InstanceTypeQuery) ([]string, string, error) {
	where, err := instanceTypeFields.Where(s, in.Filters, nil)
	if err != nil {
		return nil, "", err
	}
	names := in.Names
	if len(names) == 0 {
		names = slices.Clone(instanceTypes)
		for i := range s.Instances() {
			names = append(names, i.Type)
		}
	}
	var unknown []string
	for _, name := range names {
		if !validInstanceType(name) && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, "", Errorf(CodeInvalidInstanceType,
			"The following supplied instance types do not exist: [%s]", strings.Join(unknown, ", "))
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	names = slices.DeleteFunc(names, func(name string) bool { return !where(name) })
	return paginate(names, "instance-type", func(name string) string { return name }, in.Page)
}

// InterfacesPerInstance is how many interfaces an instance may have, of whatever type it is.
func (s *State) InterfacesPerInstance() int { return maxInstanceInterfaces }

// instanceTypeFields are the filters of DescribeInstanceTypes about what is true of every type here.
// About processors, memory and volumes nothing is known.
var instanceTypeFields = func() Fields[string] {
	perInterface := func(s *State, _ string) []string { return []string{strconv.Itoa(s.Quota(AddressesPerInterface))} }
	f := Fields[string]{
		"instance-type": func(_ *State, name string) []string { return []string{name} },
		"network-info.ipv4-addresses-per-interface": perInterface,
		"network-info.ipv6-addresses-per-interface": perInterface,
		"network-info.maximum-network-interfaces":   constant[string](strconv.Itoa(maxInstanceInterfaces)),
	}
	for name, value := range map[string]string{
		"auto-recovery-supported":                      "false",
		"bare-metal":                                   "false",
		"burstable-performance-supported":              "false",
		"dedicated-hosts-supported":                    "false",
		"free-tier-eligible":                           "false",
		"hibernation-supported":                        "false",
		"instance-storage-supported":                   "false",
		"network-info.efa-supported":                   "false",
		"network-info.ena-support":                     "unsupported",
		"network-info.encryption-in-transit-supported": "false",
		"network-info.ipv6-supported":                  "true",
		"network-info.maximum-network-cards":           "1",
		"processor-info.supported-architecture":        "x86_64",
		"supported-root-device-type":                   "instance-store",
		"supported-usage-class":                        "on-demand",
		"supported-virtualization-type":                "hvm",
	} {
		f[name] = constant[string](value)
	}
	return f
}()
