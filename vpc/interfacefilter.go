package vpc

import (
	"strconv"
	"time"
)

// apiTime is a time as the API writes it, for filters.
func apiTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// interfaceFields are the filters of DescribeNetworkInterfaces.
var interfaceFields = func() Fields[*NetworkInterface] {
	f := commonInterfaceFields()
	f["availability-zone-id"] = func(s *State, e *NetworkInterface) []string {
		return []string{s.ZoneID(s.Subnet(e.Subnet).Zone)}
	}
	f["ipv6-addresses.ipv6-address"] = interfaceIPv6
	f["interface-type"] = constant[*NetworkInterface]("interface")
	f["operator.managed"] = constant[*NetworkInterface]("false")
	for _, name := range []string{
		"operator.principal", "addresses.association.owner-id", "addresses.association.public-ip",
		"association.allocation-id", "association.association-id",
	} {
		f[name] = none[*NetworkInterface]
	}
	return f
}()

func interfaceIPv6(_ *State, e *NetworkInterface) []string { return texts(e.IPv6) }

// texts returns the text forms.
func texts[T interface{ String() string }](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}

// commonInterfaceFields are the filters on an interface which DescribeInstances, with a prefix, has as
// well.
func commonInterfaceFields() Fields[*NetworkInterface] {
	type E = *NetworkInterface
	attachment := func(value func(*Attachment) string) func(*State, E) []string {
		return func(_ *State, e E) []string {
			if e.Attachment == nil {
				return nil
			}
			return []string{value(e.Attachment)}
		}
	}
	f := Fields[E]{
		"addresses.private-ip-address": func(_ *State, e E) []string { return texts(e.IPv4) },
		"addresses.primary": func(_ *State, e E) []string {
			if len(e.IPv4) > 1 {
				return []string{"true", "false"}
			}
			return []string{"true"}
		},
		"attachment.attach-time":           attachment(func(a *Attachment) string { return apiTime(a.Time) }),
		"attachment.attachment-id":         attachment(func(a *Attachment) string { return string(a.ID) }),
		"attachment.delete-on-termination": attachment(func(a *Attachment) string { return strconv.FormatBool(a.DeleteOnTermination) }),
		"attachment.device-index":          attachment(func(a *Attachment) string { return strconv.Itoa(a.DeviceIndex) }),
		"attachment.instance-id":           attachment(func(a *Attachment) string { return string(a.Instance) }),
		"attachment.instance-owner-id": func(s *State, e E) []string {
			if e.Attachment == nil {
				return nil
			}
			return owner(s, e)
		},
		"attachment.status": func(_ *State, e E) []string {
			if e.Attachment == nil {
				return []string{"detached"}
			}
			return []string{"attached"}
		},
		"availability-zone": func(s *State, e E) []string { return []string{s.Subnet(e.Subnet).Zone} },
		"description":       func(_ *State, e E) []string { return []string{e.Description} },
		"group-id": func(_ *State, e E) []string {
			ids := make([]string, len(e.Groups))
			for i, g := range e.Groups {
				ids[i] = string(g)
			}
			return ids
		},
		"group-name": func(s *State, e E) []string {
			names := make([]string, len(e.Groups))
			for i, g := range e.Groups {
				names[i] = s.SecurityGroup(g).Name
			}
			return names
		},
		"mac-address":          func(_ *State, e E) []string { return []string{e.MAC.String()} },
		"network-interface-id": func(_ *State, e E) []string { return []string{string(e.ID)} },
		"owner-id":             owner[E],
		"private-dns-name":     func(s *State, e E) []string { return []string{s.PrivateDNSName(e.IPv4[0].String())} },
		"private-ip-address":   func(_ *State, e E) []string { return texts(e.IPv4) },
		"requester-managed":    constant[E]("false"),
		"source-dest-check":    func(_ *State, e E) []string { return boolean(e.SourceDestCheck) },
		"status":               func(_ *State, e E) []string { return []string{e.Status()} },
		"subnet-id":            func(_ *State, e E) []string { return []string{string(e.Subnet)} },
		"vpc-id":               func(_ *State, e E) []string { return []string{string(e.VPC)} },
	}
	for _, name := range []string{ // there are no public addresses, and no services that make interfaces
		"association.ip-owner-id", "association.public-ip", "association.public-dns-name", "requester-id",
	} {
		f[name] = none[E]
	}
	return f
}
