package vpc

import (
	"slices"
	"strconv"
)

// instanceFields are the filters of DescribeInstances. What is said of an instance's addresses,
// groups and subnet is that of its primary interface; network-interface.… looks at all of them.
var instanceFields = func() Fields[*Instance] {
	type I = *Instance
	primary := func(value func(*State, *NetworkInterface) []string) func(*State, I) []string {
		return func(s *State, i I) []string {
			if eni := s.PrimaryInterface(i.ID); eni != nil {
				return value(s, eni)
			}
			return nil
		}
	}
	common := commonInterfaceFields()
	f := Fields[I]{
		"availability-zone": primary(common["availability-zone"]),
		"availability-zone-id": primary(func(s *State, e *NetworkInterface) []string {
			return []string{s.ZoneID(s.Subnet(e.Subnet).Zone)}
		}),
		"architecture":        constant[I]("x86_64"),
		"client-token":        func(_ *State, i I) []string { return some(i.ClientToken) },
		"image-id":            func(_ *State, i I) []string { return []string{i.Image} },
		"instance-id":         func(_ *State, i I) []string { return []string{string(i.ID)} },
		"instance-state-code": func(_ *State, i I) []string { return []string{strconv.Itoa(int(i.State))} },
		"instance-state-name": func(_ *State, i I) []string { return []string{i.State.String()} },
		"instance-type":       func(_ *State, i I) []string { return []string{i.Type} },
		"instance.group-id":   primary(common["group-id"]),
		"instance.group-name": primary(common["group-name"]),
		"ipv6-address":        primary(interfaceIPv6),
		"key-name":            func(_ *State, i I) []string { return some(i.KeyName) },
		"launch-index":        func(_ *State, i I) []string { return []string{strconv.Itoa(i.LaunchIndex)} },
		"launch-time":         func(_ *State, i I) []string { return []string{apiTime(i.Launched)} },
		"owner-id":            owner[I],
		"private-dns-name":    primary(common["private-dns-name"]),
		"private-ip-address":  primary(func(_ *State, e *NetworkInterface) []string { return texts(e.IPv4[:1]) }),
		"reason":              func(_ *State, i I) []string { return some(i.Reason) },
		"reservation-id":      func(_ *State, i I) []string { return []string{string(i.Reservation)} },
		"source-dest-check":   primary(common["source-dest-check"]),
		"subnet-id":           primary(common["subnet-id"]),
		"tenancy":             constant[I]("default"),
		"vpc-id":              primary(common["vpc-id"]),
	}
	for _, name := range []string{
		"dns-name", "ip-address", "requester-id", // nothing has a public address
		"block-device-mapping.attach-time", "block-device-mapping.delete-on-termination", "block-device-mapping.device-name",
		"block-device-mapping.status", "block-device-mapping.volume-id", "capacity-reservation-id", "host-id",
		"iam-instance-profile.arn", "iam-instance-profile.id", "iam-instance-profile.name", "instance-lifecycle", "kernel-id",
		"outpost-arn", "placement-group-name", "placement-partition-number", "platform", "product-code", "product-code.type",
		"ramdisk-id", "root-device-name", "spot-instance-request-id", "operator.principal",
	} {
		f[name] = none[I]
	}
	for name, value := range map[string]string{ // as DescribeInstances shows them
		"ebs-optimized":                  "false",
		"ena-support":                    "false",
		"hibernation-options.configured": "false",
		"hypervisor":                     "xen",
		"metadata-options.http-endpoint": "disabled",
		"monitoring-state":               "disabled",
		"operator.managed":               "false",
		"root-device-type":               "instance-store",
		"virtualization-type":            "hvm",
	} {
		f[name] = constant[I](value)
	}
	any := func(value func(*State, *NetworkInterface) []string) func(*State, I) []string {
		return func(s *State, i I) []string {
			var values []string
			for eni := range s.InterfacesOfInstance(i.ID) {
				values = append(values, value(s, eni)...)
			}
			return values
		}
	}
	for name, value := range common {
		f["network-interface."+name] = any(value)
	}
	f["network-interface.addresses.private-dns-name"] = any(func(s *State, e *NetworkInterface) []string {
		names := texts(e.IPv4)
		for i, a := range names {
			names[i] = s.PrivateDNSName(a)
		}
		return names
	})
	f["network-interface.attachment.network-card-index"] = any(constant[*NetworkInterface]("0"))
	f["network-interface.ipv6-address"] = any(interfaceIPv6)
	f["network-interface.operator.managed"] = any(constant[*NetworkInterface]("false"))
	f["network-interface.operator.principal"] = none[I]
	f["network-interface.ipv6-addresses.ipv6-address"] = any(interfaceIPv6)
	f["network-interface.tag-key"] = any(func(_ *State, e *NetworkInterface) []string {
		var keys []string
		for k := range e.Tags {
			keys = append(keys, k)
		}
		return keys
	})
	f["network-interface.tag-value"] = any(func(_ *State, e *NetworkInterface) []string {
		var values []string
		for _, v := range e.Tags {
			values = append(values, v)
		}
		return values
	})
	for _, name := range []string{
		"allocation-id", "association-id", "ip-owner-id", "public-dns-name", "public-ip",
	} {
		f["network-interface.addresses.association."+name] = none[I]
		f["network-interface.association."+name] = none[I]
	}
	return f
}()

// some returns the value unless it is empty.
func some(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// PrimaryInterface returns the interface of device index 0, or nil.
func (s *State) PrimaryInterface(id InstanceID) *NetworkInterface {
	for eni := range s.InterfacesOfInstance(id) {
		if eni.Attachment.DeviceIndex == 0 {
			return eni
		}
	}
	return nil
}

// InterfacesByIndex returns the interfaces attached to an instance by their device index.
func (s *State) InterfacesByIndex(id InstanceID) []*NetworkInterface {
	return slices.SortedFunc(s.InterfacesOfInstance(id), func(a, b *NetworkInterface) int {
		return a.Attachment.DeviceIndex - b.Attachment.DeviceIndex
	})
}
