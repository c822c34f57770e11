package ec2api

import (
	"encoding/base64"
	"strconv"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func modifyInstanceAttribute(
	c *call, in *wire.ModifyInstanceAttributeRequest,
) (*wire.ModifyInstanceAttributeResult, error) {
	if in.Value != nil {
		if err := nameAttribute(in); err != nil {
			return nil, err
		}
	}
	if err := refuseUnsupported(
		asked("blockDeviceMapping", len(in.BlockDeviceMappings) > 0),
		asked("ebsOptimized", in.EbsOptimized != nil),
		asked("enaSupport", in.EnaSupport != nil),
		asked("enclaveOptions", in.EnclaveOptions != nil),
		asked("kernel", in.Kernel != nil),
		asked("ramdisk", in.Ramdisk != nil),
		asked("sriovNetSupport", in.SriovNetSupport != nil),
	); err != nil {
		return nil, err
	}
	change := vpc.InstanceChange{
		Groups:                ids[vpc.GroupID](in.Groups),
		SourceDestCheck:       boolean(in.SourceDestCheck),
		DisableAPITermination: boolean(in.DisableApiTermination),
		DisableAPIStop:        boolean(in.DisableApiStop),
	}
	if in.InstanceType != nil {
		change.Type = new(wire.Value(in.InstanceType.Value))
	}
	if in.UserData != nil {
		change.UserData = new([]byte(wire.Value(in.UserData.Value)))
	}
	if b := in.InstanceInitiatedShutdownBehavior; b != nil {
		switch v := wire.Value(b.Value); v {
		case "stop", "terminate":
			change.TerminateOnShutdown = new(v == "terminate")
		default:
			return nil, vpc.Errorf(vpc.CodeInvalidParameterValue,
				"Value (%s) for parameter instanceInitiatedShutdownBehavior is invalid. Expecting one of: stop, terminate.", v)
		}
	}
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.ModifyInstance(vpc.InstanceID(wire.Value(in.InstanceId)), change)
	})
	return &wire.ModifyInstanceAttributeResult{}, err
}

// nameAttribute turns the older form of a request, an attribute's name and its value, into the newer
// one, a member for each attribute.
func nameAttribute(in *wire.ModifyInstanceAttributeRequest) error {
	value := string(*in.Value)
	switch wire.Value(in.Attribute) {
	case "instanceType":
		in.InstanceType = &wire.AttributeValue{Value: &value}
		return nil
	case "instanceInitiatedShutdownBehavior":
		in.InstanceInitiatedShutdownBehavior = &wire.AttributeValue{Value: &value}
		return nil
	case "userData":
		data, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return vpc.Errorf(vpc.CodeInvalidUserDataMalformed, "Invalid BASE64 encoding of user data.")
		}
		in.UserData = &wire.SecureBlobAttributeValue{Value: new(wire.Secret(data))}
		return nil
	}
	var to **wire.AttributeBooleanValue
	switch wire.Value(in.Attribute) {
	case "sourceDestCheck":
		to = &in.SourceDestCheck
	case "disableApiTermination":
		to = &in.DisableApiTermination
	case "disableApiStop":
		to = &in.DisableApiStop
	default:
		return refuseUnsupported(asked("attribute", true))
	}
	v, err := strconv.ParseBool(value)
	if err != nil {
		return vpc.Errorf(vpc.CodeInvalidParameterValue, "Value for parameter value is invalid. It is not a boolean.")
	}
	*to = &wire.AttributeBooleanValue{Value: &v}
	return nil
}

func describeInstanceAttribute(
	c *call, in *wire.DescribeInstanceAttributeRequest,
) (*wire.DescribeInstanceAttributeResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, _, err := s.DescribeInstances(vpc.InstanceQuery{IDs: []vpc.InstanceID{vpc.InstanceID(wire.Value(in.InstanceId))}})
	if err != nil {
		return nil, err
	}
	i := list[0]
	w := instance(s, i)
	out := &wire.DescribeInstanceAttributeResult{InstanceId: w.InstanceId}
	flag := func(v bool) *wire.AttributeBooleanValue { return &wire.AttributeBooleanValue{Value: &v} }
	switch attribute := wire.Value(in.Attribute); attribute {
	case "instanceType":
		out.InstanceType = &wire.AttributeValue{Value: w.InstanceType}
	case "kernel": // nor a RAM disk or a root device: absent values, as EC2 shows them
		out.KernelId = &wire.AttributeValue{}
	case "ramdisk":
		out.RamdiskId = &wire.AttributeValue{}
	case "rootDeviceName":
		out.RootDeviceName = &wire.AttributeValue{}
	case "sriovNetSupport":
		out.SriovNetSupport = &wire.AttributeValue{}
	case "userData":
		out.UserData = &wire.AttributeValue{Value: text(base64.StdEncoding.EncodeToString(i.UserData))}
	case "disableApiTermination":
		out.DisableApiTermination = flag(i.DisableAPITermination)
	case "disableApiStop":
		out.DisableApiStop = flag(i.DisableAPIStop)
	case "instanceInitiatedShutdownBehavior":
		out.InstanceInitiatedShutdownBehavior = &wire.AttributeValue{Value: new("stop")}
		if i.TerminateOnShutdown {
			out.InstanceInitiatedShutdownBehavior.Value = new("terminate")
		}
	case "blockDeviceMapping":
		out.BlockDeviceMappings = w.BlockDeviceMappings
	case "productCodes":
		out.ProductCodes = w.ProductCodes
	case "sourceDestCheck":
		out.SourceDestCheck = &wire.AttributeBooleanValue{Value: w.SourceDestCheck} // none of a terminated instance
	case "groupSet":
		out.Groups = w.SecurityGroups
	case "ebsOptimized":
		out.EbsOptimized = flag(false)
	case "enaSupport":
		out.EnaSupport = flag(false)
	case "enclaveOptions":
		out.EnclaveOptions = &wire.EnclaveOptions{Enabled: new(false)}
	default:
		return nil, unknownAttribute(attribute)
	}
	return out, nil
}

func describeInstanceStatus(
	c *call, in *wire.DescribeInstanceStatusRequest,
) (*wire.DescribeInstanceStatusResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	connected := func(h vpc.HostID) bool {
		_, connected, _ := c.Enforcement.InForce(h)
		return connected
	}
	list, next, err := s.DescribeInstanceStatus(vpc.InstanceStatusQuery{
		IDs:       ids[vpc.InstanceID](in.InstanceIds),
		All:       wire.Value(in.IncludeAllInstances),
		Connected: connected,
		Filters:   filters(in.Filters),
		Page:      page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeInstanceStatusResult{NextToken: token(next)}
	for _, i := range list {
		health := text(i.Health(connected))
		w := wire.InstanceStatus{
			InstanceId:     text(i.ID),
			InstanceState:  instanceState(i.State),
			InstanceStatus: &wire.InstanceStatusSummary{Status: health},
			Operator:       &wire.OperatorResponse{Managed: new(false)},
			SystemStatus:   &wire.InstanceStatusSummary{Status: health},
		}
		if e := s.PrimaryInterface(i.ID); e != nil {
			zone := s.Subnet(e.Subnet).Zone
			w.AvailabilityZone, w.AvailabilityZoneId = &zone, text(s.ZoneID(zone))
		}
		out.InstanceStatuses = append(out.InstanceStatuses, w)
	}
	return out, nil
}

// describeInstanceTypes says of a type what is so of every guest, and nothing about processors,
// memory or volumes.
func describeInstanceTypes(
	c *call, in *wire.DescribeInstanceTypesRequest,
) (*wire.DescribeInstanceTypesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, next, err := s.DescribeInstanceTypes(vpc.InstanceTypeQuery{
		Names:   in.InstanceTypes,
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	perInterface := new(int32(s.Quota(vpc.AddressesPerInterface)))
	interfaces := new(int32(s.InterfacesPerInstance()))
	out := &wire.DescribeInstanceTypesResult{NextToken: token(next)}
	for _, name := range list {
		out.InstanceTypes = append(out.InstanceTypes, wire.InstanceTypeInfo{
			AutoRecoverySupported:         new(false),
			BareMetal:                     new(false),
			BurstablePerformanceSupported: new(false),
			DedicatedHostsSupported:       new(false),
			FreeTierEligible:              new(false),
			HibernationSupported:          new(false),
			InstanceStorageSupported:      new(false),
			InstanceType:                  &name,
			NetworkInfo: &wire.NetworkInfo{
				DefaultNetworkCardIndex:      new(int32(0)),
				EfaSupported:                 new(false),
				EnaSrdSupported:              new(false),
				EnaSupport:                   new("unsupported"),
				EncryptionInTransitSupported: new(false),
				Ipv4AddressesPerInterface:    perInterface,
				Ipv6AddressesPerInterface:    perInterface,
				Ipv6Supported:                new(true),
				MaximumNetworkCards:          new(int32(1)),
				MaximumNetworkInterfaces:     interfaces,
				NetworkCards: []wire.NetworkCardInfo{{
					MaximumNetworkInterfaces: interfaces, NetworkCardIndex: new(int32(0)),
				}},
			},
			ProcessorInfo:                &wire.ProcessorInfo{SupportedArchitectures: []string{"x86_64"}},
			SupportedRootDeviceTypes:     []string{"instance-store"},
			SupportedUsageClasses:        []string{"on-demand"},
			SupportedVirtualizationTypes: []string{"hvm"},
		})
	}
	return out, nil
}
