package ec2api

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) instanceActions() {
	handle(a, wire.RunInstances, runInstances)
	handle(a, wire.DescribeInstances, describeInstances)
	handle(a, wire.StartInstances, startInstances)
	handle(a, wire.StopInstances, stopInstances)
	handle(a, wire.TerminateInstances, terminateInstances)
	handle(a, wire.ModifyInstanceAttribute, modifyInstanceAttribute)
	handle(a, wire.DescribeInstanceAttribute, describeInstanceAttribute)
	handle(a, wire.DescribeInstanceStatus, describeInstanceStatus)
	handle(a, wire.DescribeInstanceTypes, describeInstanceTypes)
}

func runInstances(c *call, in *wire.RunInstancesRequest) (*wire.Reservation, error) {
	launch, err := newInstances(in)
	if err != nil {
		return nil, err
	}
	var out *wire.Reservation
	err = c.update(func(s *vpc.State) (vpc.Change, error) {
		list, change, err := s.RunInstances(c.env, launch)
		if err != nil {
			return change, err
		}
		out = &reservations(s.Apply(change, s.Revision()), list)[0]
		return change, nil
	})
	return out, err
}

func newInstances(in *wire.RunInstancesRequest) (vpc.NewInstances, error) {
	if err := refuseUnsupported(
		asked("hibernationOptions", in.HibernationOptions != nil && wire.Value(in.HibernationOptions.Configured)),
		asked("iamInstanceProfile", in.IamInstanceProfile != nil),
		asked("launchTemplate", in.LaunchTemplate != nil),
		asked("operator", in.Operator != nil),
		asked("placement.tenancy", in.Placement != nil && !slices.Contains([]string{"", "default"}, wire.Value(in.Placement.Tenancy))),
		asked("secondaryInterface", len(in.SecondaryInterfaces) > 0),
	); err != nil {
		return vpc.NewInstances{}, err
	}
	primary, err := addresses(&addressMembers{
		primary: in.PrivateIpAddress, ipv6: in.Ipv6Addresses, ipv6Count: in.Ipv6AddressCount,
	})
	if err != nil {
		return vpc.NewInstances{}, err
	}
	userData, err := base64.StdEncoding.DecodeString(string(wire.Value(in.UserData)))
	if err != nil {
		return vpc.NewInstances{}, vpc.Errorf(vpc.CodeInvalidUserDataMalformed, "Invalid BASE64 encoding of user data.")
	}
	out := vpc.NewInstances{
		Image: wire.Value(in.ImageId),
		Type:  wire.Value(in.InstanceType),
		Min:   int(wire.Value(in.MinCount)),
		Max:   int(wire.Value(in.MaxCount)),
		Primary: vpc.LaunchENI{
			Subnet:    vpc.SubnetID(wire.Value(in.SubnetId)),
			Groups:    ids[vpc.GroupID](in.SecurityGroupIds),
			Addresses: primary, PrimaryIPv6: wire.Value(in.EnablePrimaryIpv6),
		},
		GroupNames:            in.SecurityGroups,
		KeyName:               wire.Value(in.KeyName),
		UserData:              userData,
		DisableAPITermination: wire.Value(in.DisableApiTermination),
		DisableAPIStop:        wire.Value(in.DisableApiStop),
		TerminateOnShutdown:   wire.Value(in.InstanceInitiatedShutdownBehavior) == "terminate",
		TagSpecifications:     tagSpecifications(in.TagSpecifications),
		ClientToken:           wire.Value(in.ClientToken),
	}
	if p := in.Placement; p != nil {
		if out.Zone = wire.Value(p.AvailabilityZone); out.Zone == "" {
			out.Zone = wire.Value(p.AvailabilityZoneId)
		}
	}
	for i, n := range in.NetworkInterfaces {
		e, err := launchENI(n, "networkInterface."+strconv.Itoa(i+1)+".")
		if err != nil {
			return vpc.NewInstances{}, err
		}
		out.Interfaces = append(out.Interfaces, e)
	}
	return out, nil
}

func launchENI(n wire.InstanceNetworkInterfaceSpecification, path string) (vpc.LaunchENI, error) {
	if err := refuseUnsupported(
		asked(path+"associateCarrierIpAddress", wire.Value(n.AssociateCarrierIpAddress)),
		asked(path+"associatePublicIpAddress", wire.Value(n.AssociatePublicIpAddress)),
		asked(path+"networkCardIndex", wire.Value(n.NetworkCardIndex) != 0),
	); err != nil {
		return vpc.LaunchENI{}, err
	}
	if err := plainType(path, n.InterfaceType); err != nil {
		return vpc.LaunchENI{}, err
	}
	a, err := addresses(&addressMembers{
		n.PrivateIpAddress, n.PrivateIpAddresses, n.SecondaryPrivateIpAddressCount, n.Ipv4Prefixes, n.Ipv4PrefixCount,
		n.Ipv6Addresses, n.Ipv6AddressCount, n.Ipv6Prefixes, n.Ipv6PrefixCount,
	})
	if err != nil {
		return vpc.LaunchENI{}, err
	}
	tracking, err := connectionTracking(n.ConnectionTrackingSpecification)
	if err != nil {
		return vpc.LaunchENI{}, err
	}
	e := vpc.LaunchENI{
		Existing:            vpc.InterfaceID(wire.Value(n.NetworkInterfaceId)),
		Subnet:              vpc.SubnetID(wire.Value(n.SubnetId)),
		Description:         wire.Value(n.Description),
		Groups:              ids[vpc.GroupID](n.Groups),
		Addresses:           a,
		PrimaryIPv6:         wire.Value(n.PrimaryIpv6),
		Tracking:            tracking,
		DeleteOnTermination: n.DeleteOnTermination,
	}
	if n.DeviceIndex != nil {
		e.DeviceIndex = new(int(*n.DeviceIndex))
	}
	return e, nil
}

func describeInstances(c *call, in *wire.DescribeInstancesRequest) (*wire.DescribeInstancesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	list, next, err := s.DescribeInstances(vpc.InstanceQuery{
		IDs:     ids[vpc.InstanceID](in.InstanceIds),
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	return &wire.DescribeInstancesResult{NextToken: token(next), Reservations: reservations(s, list)}, nil
}

func startInstances(c *call, in *wire.StartInstancesRequest) (*wire.StartInstancesResult, error) {
	list, err := changeStates(c, in.InstanceIds, (*vpc.State).StartInstances)
	return &wire.StartInstancesResult{StartingInstances: list}, err
}

func stopInstances(c *call, in *wire.StopInstancesRequest) (*wire.StopInstancesResult, error) {
	if err := refuseUnsupported(asked("hibernate", wire.Value(in.Hibernate))); err != nil {
		return nil, err
	}
	list, err := changeStates(c, in.InstanceIds, (*vpc.State).StopInstances)
	return &wire.StopInstancesResult{StoppingInstances: list}, err
}

func terminateInstances(c *call, in *wire.TerminateInstancesRequest) (*wire.TerminateInstancesResult, error) {
	list, err := changeStates(c, in.InstanceIds, (*vpc.State).TerminateInstances)
	return &wire.TerminateInstancesResult{TerminatingInstances: list}, err
}

func changeStates(
	c *call, instances []string,
	action func(*vpc.State, vpc.Env, []vpc.InstanceID) ([]vpc.StateChange, vpc.Change, error),
) ([]wire.InstanceStateChange, error) {
	var out []wire.InstanceStateChange
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		list, change, err := action(s, c.env, ids[vpc.InstanceID](instances))
		if err != nil {
			return change, err
		}
		out = nil
		for _, i := range list {
			out = append(out, wire.InstanceStateChange{
				CurrentState:  instanceState(i.Current),
				InstanceId:    text(i.Instance),
				PreviousState: instanceState(i.Previous),
			})
		}
		return change, nil
	})
	return out, err
}

// reservations puts instances that are next to each other and of one reservation into one item.
func reservations(s *vpc.State, list []*vpc.Instance) []wire.Reservation {
	var out []wire.Reservation
	for _, i := range list {
		if n := len(out); n == 0 || *out[n-1].ReservationId != string(i.Reservation) {
			out = append(out, wire.Reservation{
				Groups:        []wire.GroupIdentifier{}, // of EC2-Classic
				OwnerId:       text(s.Installation().Account),
				ReservationId: text(i.Reservation),
			})
		}
		last := &out[len(out)-1]
		last.Instances = append(last.Instances, instance(s, i))
	}
	return out
}

func instance(s *vpc.State, i *vpc.Instance) wire.Instance {
	w := wire.Instance{
		AmiLaunchIndex:      new(int32(i.LaunchIndex)),
		Architecture:        new("x86_64"),
		BlockDeviceMappings: []wire.InstanceBlockDeviceMapping{},
		ClientToken:         &i.ClientToken,
		EbsOptimized:        new(false),
		EnaSupport:          new(false),
		Hypervisor:          new("xen"),
		ImageId:             &i.Image,
		InstanceId:          text(i.ID),
		InstanceType:        &i.Type,
		KeyName:             text(i.KeyName),
		LaunchTime:          &i.Launched,
		MetadataOptions: &wire.InstanceMetadataOptionsResponse{
			HttpEndpoint: new("disabled"), State: new("applied"), // there is no metadata service
		},
		Monitoring:            &wire.Monitoring{State: new("disabled")},
		NetworkInterfaces:     []wire.InstanceNetworkInterface{},
		Placement:             &wire.Placement{Tenancy: new("default"), GroupName: new("")},
		PrivateDnsName:        new(""),
		ProductCodes:          []wire.ProductCode{},
		PublicDnsName:         new(""),
		RootDeviceType:        new("instance-store"),
		SecurityGroups:        []wire.GroupIdentifier{},
		State:                 instanceState(i.State),
		StateReason:           stateReason(i),
		StateTransitionReason: &i.Reason,
		Tags:                  tagSet(i.Tags),
		VirtualizationType:    new("hvm"),
	}
	for _, e := range s.InterfacesByIndex(i.ID) {
		w.NetworkInterfaces = append(w.NetworkInterfaces, instanceNetworkInterface(s, e))
		if e.Attachment.DeviceIndex == 0 {
			zone := s.Subnet(e.Subnet).Zone
			w.Placement.AvailabilityZone, w.Placement.AvailabilityZoneId = &zone, text(s.ZoneID(zone))
			w.PrivateDnsName = privateDNSName(s, e.IPv4[0])
			w.PrivateIpAddress = text(e.IPv4[0].String())
			w.SecurityGroups = groupIdentifiers(s, e.Groups)
			w.SourceDestCheck = &e.SourceDestCheck
			w.SubnetId, w.VpcId = text(e.Subnet), text(e.VPC)
			if len(e.IPv6) > 0 {
				w.Ipv6Address = text(e.IPv6[0].String())
			}
		}
	}
	return w
}

func instanceState(s vpc.InstanceState) *wire.InstanceState {
	return &wire.InstanceState{Code: new(int32(s)), Name: new(s.String())}
}

// stateReason says why an instance does not run.
func stateReason(i *vpc.Instance) *wire.StateReason {
	switch code, message, ours := strings.Cut(i.Reason, ": "); {
	case ours && code == "Server.InternalError":
		return &wire.StateReason{Code: &code, Message: new(code + ": " + message)}
	case strings.HasPrefix(i.Reason, "User initiated"):
		return &wire.StateReason{
			Code: new("Client.UserInitiatedShutdown"), Message: new("Client.UserInitiatedShutdown: User initiated shutdown"),
		}
	default:
		return nil
	}
}

func instanceNetworkInterface(s *vpc.State, e *vpc.NetworkInterface) wire.InstanceNetworkInterface {
	w := wire.InstanceNetworkInterface{
		Attachment: &wire.InstanceNetworkInterfaceAttachment{
			AttachTime:          &e.Attachment.Time,
			AttachmentId:        text(e.Attachment.ID),
			DeleteOnTermination: &e.Attachment.DeleteOnTermination,
			DeviceIndex:         new(int32(e.Attachment.DeviceIndex)),
			NetworkCardIndex:    new(int32(0)),
			Status:              new("attached"),
		},
		Description:        &e.Description,
		Groups:             groupIdentifiers(s, e.Groups),
		InterfaceType:      new("interface"),
		Ipv6Addresses:      []wire.InstanceIpv6Address{},
		MacAddress:         text(e.MAC.String()),
		NetworkInterfaceId: text(e.ID),
		OwnerId:            text(s.Installation().Account),
		PrivateDnsName:     privateDNSName(s, e.IPv4[0]),
		PrivateIpAddress:   text(e.IPv4[0].String()),
		SourceDestCheck:    &e.SourceDestCheck,
		Status:             text(e.Status()),
		SubnetId:           text(e.Subnet),
		VpcId:              text(e.VPC),
	}
	for i, a := range e.IPv4 {
		w.PrivateIpAddresses = append(w.PrivateIpAddresses, wire.InstancePrivateIpAddress{
			Primary: new(i == 0), PrivateDnsName: privateDNSName(s, a), PrivateIpAddress: text(a.String()),
		})
	}
	for i, a := range e.IPv6 {
		w.Ipv6Addresses = append(w.Ipv6Addresses, wire.InstanceIpv6Address{
			Ipv6Address: text(a.String()), IsPrimaryIpv6: new(e.PrimaryIPv6 && i == 0),
		})
	}
	for _, p := range e.IPv4Prefixes {
		w.Ipv4Prefixes = append(w.Ipv4Prefixes, wire.InstanceIpv4Prefix{Ipv4Prefix: text(p.String())})
	}
	for _, p := range e.IPv6Prefixes {
		w.Ipv6Prefixes = append(w.Ipv6Prefixes, wire.InstanceIpv6Prefix{Ipv6Prefix: text(p.String())})
	}
	if t := e.Tracking; t != (vpc.ConnectionTracking{}) {
		w.ConnectionTrackingConfiguration = &wire.ConnectionTrackingSpecificationResponse{
			TcpEstablishedTimeout: number(t.TCPEstablished), UdpStreamTimeout: number(t.UDPStream), UdpTimeout: number(t.UDP),
		}
	}
	return w
}
