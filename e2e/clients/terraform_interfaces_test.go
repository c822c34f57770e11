package clients_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/feed"
)

// paperHost connects as this machine's agent, confirms whatever it is told, and runs nothing: so instances
// start and stop without root. It leaves with the test.
func (s *server) paperHost(t *testing.T) {
	t.Helper()
	pki := filepath.Join(s.dir, "pki")
	conf, err := feed.AgentTLS(filepath.Join(pki, "ca.crt"), filepath.Join(pki, "agent.crt"), filepath.Join(pki, "agent.key"))
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{})
	client := feed.NewClient(feed.ClientOptions{Server: s.feed, TLS: conf, Lab: true, Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error)
	go func() {
		ended <- client.Follow(ctx, func(_ context.Context, u *feed.Update) error {
			for id, guest := range u.Guests {
				client.ReportGuest(feed.GuestStatus{Instance: id, Running: guest.Run})
			}
			for _, id := range u.RemovedGuests {
				client.ReportGuest(feed.GuestStatus{Instance: id})
			}
			if connected != nil {
				close(connected)
				connected = nil
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the host ended with %v", err)
		}
	})
	select {
	case <-connected:
	case <-time.After(time.Minute):
		t.Fatal("the server has nothing for the host after a minute")
	}
}

func (tf terraform) networkInterface(t *testing.T, id string) types.NetworkInterface {
	t.Helper()
	return one(t, must(tf.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{id}}))(t).NetworkInterfaces)
}

// runInstance starts an instance and waits until it runs, as aws_instance.
func (tf terraform) runInstance(t *testing.T, subnet, address string, groups ...string) types.Instance {
	t.Helper()
	ctx := t.Context()
	image := one(t, must(tf.DescribeImages(ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("name", "netns")}}))(t).Images)
	out := must(tf.RunInstances(ctx, &ec2.RunInstancesInput{
		ImageId: image.ImageId, SubnetId: &subnet, PrivateIpAddress: &address, SecurityGroupIds: groups, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		TagSpecifications: specification(types.ResourceTypeInstance, "Name=terraform"),
	}))(t)
	in := &ec2.DescribeInstancesInput{InstanceIds: []string{*one(t, out.Instances).InstanceId}}
	running := ec2.NewInstanceRunningWaiter(tf, func(o *ec2.InstanceRunningWaiterOptions) { o.MinDelay, o.MaxDelay = quick, quick })
	ran := must(running.WaitForOutput(ctx, in, time.Minute))(t)
	return one(t, one(t, ran.Reservations).Instances)
}

func (tf terraform) terminate(t *testing.T, id string) {
	t.Helper()
	ctx := t.Context()
	must(tf.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}}))(t)
	gone := ec2.NewInstanceTerminatedWaiter(tf, func(o *ec2.InstanceTerminatedWaiterOptions) { o.MinDelay, o.MaxDelay = quick, quick })
	must(gone.WaitForOutput(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}}, time.Minute))(t)
}

// quick is how long waiters here wait between two calls.
const quick = 20 * time.Millisecond

func terraformNetworkInterface(t *testing.T, tf terraform) {
	ctx := t.Context()
	vpcID, subnet := tf.vpc(t)
	tf.paperHost(t)
	group, second := newGroup(t, tf.Client, vpcID, "one"), newGroup(t, tf.Client, vpcID, "two")
	instance := tf.runInstance(t, subnet, "10.20.1.10", group)

	in := &ec2.CreateNetworkInterfaceInput{
		ClientToken: aws.String("terraform-20261122000000000000000001"), SubnetId: &subnet, Description: aws.String("of terraform"),
		Groups: []string{group}, PrivateIpAddresses: []types.PrivateIpAddressSpecification{
			{PrivateIpAddress: aws.String("10.20.1.50"), Primary: aws.Bool(true)}, {PrivateIpAddress: aws.String("10.20.1.51"), Primary: aws.Bool(false)},
		},
		TagSpecifications: specification(types.ResourceTypeNetworkInterface, "Name=terraform"),
	}
	created := must(tf.CreateNetworkInterface(ctx, in))(t).NetworkInterface
	id := *created.NetworkInterfaceId
	equal(t, "the same token again", *must(tf.CreateNetworkInterface(ctx, in))(t).NetworkInterface.NetworkInterfaceId, id)
	equal(t, "state, for which it waits", tf.networkInterface(t, id).Status, types.NetworkInterfaceStatusAvailable)
	chosen := must(tf.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &id, SecondaryPrivateIpAddressCount: aws.Int32(1)}))(t)
	must(tf.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: &id, SourceDestCheck: &types.AttributeBooleanValue{Value: aws.Bool(false)},
	}))(t)
	attachment := *must(tf.AttachNetworkInterface(ctx, &ec2.AttachNetworkInterfaceInput{
		NetworkInterfaceId: &id, InstanceId: instance.InstanceId, DeviceIndex: aws.Int32(1),
	}))(t).AttachmentId
	tf.attached(t, attachment)

	// Read.
	n := tf.networkInterface(t, id)
	equal(t, "attachment", *n.Attachment.AttachmentId+" "+*n.Attachment.InstanceId, attachment+" "+*instance.InstanceId)
	equal(t, "device index", *n.Attachment.DeviceIndex, 1)
	equal(t, "network card", *n.Attachment.NetworkCardIndex, 0)
	equal(t, "description", *n.Description, "of terraform")
	equal(t, "type", n.InterfaceType, types.NetworkInterfaceTypeInterface)
	equal(t, "address", *n.PrivateIpAddress, "10.20.1.50")
	equal(t, "addresses", len(n.PrivateIpAddresses), 3)
	equal(t, "primary first", *n.PrivateIpAddresses[0].PrivateIpAddress, "10.20.1.50")
	equal(t, "group", *one(t, n.Groups).GroupId, group)
	equal(t, "source/dest check", *n.SourceDestCheck, false)
	equal(t, "subnet", *n.SubnetId, subnet)
	equal(t, "tags", tagsOf(n.TagSet), "Name=terraform")
	if n.OwnerId == nil || n.MacAddress == nil || n.PrivateDnsName == nil {
		t.Errorf("owner, MAC or name is missing: %+v", n)
	}
	equal(t, "prefixes and IPv6 addresses", len(n.Ipv4Prefixes)+len(n.Ipv6Prefixes)+len(n.Ipv6Addresses), 0)

	// Update, an attribute per call.
	must(tf.UnassignPrivateIpAddresses(ctx, &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: &id, PrivateIpAddresses: []string{"10.20.1.51"}}))(t)
	another := "10.20.1.60"
	if *one(t, chosen.AssignedPrivateIpAddresses).PrivateIpAddress == another {
		another = "10.20.1.61"
	}
	assigned := must(tf.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &id, PrivateIpAddresses: []string{another}}))(t)
	equal(t, "assigned", *one(t, assigned.AssignedPrivateIpAddresses).PrivateIpAddress, another)
	prefixes := must(tf.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &id, Ipv4PrefixCount: aws.Int32(1)}))(t)
	prefix := *one(t, prefixes.AssignedIpv4Prefixes).Ipv4Prefix
	equal(t, "prefix", *one(t, tf.networkInterface(t, id).Ipv4Prefixes).Ipv4Prefix, prefix)
	must(tf.UnassignPrivateIpAddresses(ctx, &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: &id, Ipv4Prefixes: []string{prefix}}))(t)
	must(tf.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &id, Groups: []string{group, second}}))(t)
	must(tf.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: &id, Description: &types.AttributeValue{Value: aws.String("new")},
	}))(t)
	n = tf.networkInterface(t, id)
	equal(t, "groups, addresses, prefixes", [3]int{len(n.Groups), len(n.PrivateIpAddresses), len(n.Ipv4Prefixes)}, [3]int{2, 3, 0})
	equal(t, "description", *n.Description, "new")

	// Destroy.
	refused(tf.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &id}))(t, "InvalidParameterValue", "is currently in use.")
	must(tf.DetachNetworkInterface(ctx, &ec2.DetachNetworkInterfaceInput{AttachmentId: &attachment, Force: aws.Bool(true)}))(t)
	refused(tf.DetachNetworkInterface(ctx, &ec2.DetachNetworkInterfaceInput{AttachmentId: &attachment, Force: aws.Bool(true)}))(t, "InvalidAttachmentID.NotFound", attachment)
	if a := tf.networkInterface(t, id).Attachment; a != nil {
		t.Errorf("still attached: %+v", a)
	}
	must(tf.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &id}))(t)
	refused(tf.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &id}))(t, "InvalidNetworkInterfaceID.NotFound", id)
	refused(tf.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{id}}))(t, "InvalidNetworkInterfaceID.NotFound", id)
	tf.terminate(t, *instance.InstanceId)
	tf.destroyGroup(t, group)
	tf.destroyGroup(t, second)
}

// attached waits until an attachment is, as the provider: by a filter.
func (tf terraform) attached(t *testing.T, attachment string) {
	t.Helper()
	in := &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{filter("attachment.attachment-id", attachment)}}
	for end := time.Now().Add(time.Minute); ; time.Sleep(quick) {
		n := one(t, must(tf.DescribeNetworkInterfaces(t.Context(), in))(t).NetworkInterfaces)
		if n.Attachment.Status == types.AttachmentStatusAttached {
			equal(t, "status", n.Status, types.NetworkInterfaceStatusInUse)
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the attachment is %s after a minute", n.Attachment.Status)
		}
	}
}

// terraformAttachment is aws_network_interface_sg_attachment: it reads the groups of an interface, and writes
// them all, with one more or less.
func terraformAttachment(t *testing.T, tf terraform) {
	ctx := t.Context()
	vpcID, subnet := tf.vpc(t)
	tf.paperHost(t)
	group, second := newGroup(t, tf.Client, vpcID, "one"), newGroup(t, tf.Client, vpcID, "two")
	instance := tf.runInstance(t, subnet, "10.20.1.10", group)
	eni := *one(t, instance.NetworkInterfaces).NetworkInterfaceId
	groups := func() (ids []string) {
		t.Helper()
		for _, g := range tf.networkInterface(t, eni).Groups {
			ids = append(ids, *g.GroupId)
		}
		return ids
	}
	modify := func(ids ...string) (*ec2.ModifyNetworkInterfaceAttributeOutput, error) {
		return tf.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &eni, Groups: ids})
	}
	must(modify(append(groups(), second)...))(t)
	equal(t, "groups", len(groups()), 2)
	must(modify(group))(t)
	equal(t, "group", one(t, groups()), group)
	// Without the last group the request names none at all.
	refused(modify())(t, "InvalidParameterCombination", "")
	equal(t, "group", one(t, groups()), group)
	refused(modify("sg-0123456789abcdef0"))(t, "InvalidGroup.NotFound", "")
	tf.terminate(t, *instance.InstanceId)
	refused(modify(group))(t, "InvalidNetworkInterfaceID.NotFound", eni)
	tf.destroyGroup(t, group)
	tf.destroyGroup(t, second)
}
