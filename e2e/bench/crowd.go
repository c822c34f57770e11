package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
)

// crowdGroups is how many security groups a crowd's ENIs share.
const crowdGroups = 20

// crowd makes ENIs and a device for each on dev's host, and waits until all are in force. They share
// crowdGroups groups, of which the probed guest's is one; each lets in its own members.
func (d *dev) crowd(ctx context.Context, g labGuest, n int) error {
	groups := []string{g.group}
	for i := 1; i < crowdGroups; i++ {
		made, err := d.client.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
			GroupName: aws.String(fmt.Sprintf("crowd-%d", i)), Description: aws.String("of many"),
		})
		if err != nil {
			return err
		}
		groups = append(groups, *made.GroupId)
	}
	for _, id := range groups {
		if _, err := d.client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
			GroupId: &id, IpPermissions: []types.IpPermission{{
				IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &id}},
			}},
		}); err != nil {
			return err
		}
	}
	subnets, err := d.client.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})
	if err != nil {
		return err
	}
	if len(subnets.Subnets) == 0 {
		return errors.New("dev has no subnet")
	}
	enis := make([]string, n)
	calls, callCtx := errgroup.WithContext(ctx)
	calls.SetLimit(16)
	for i := range enis {
		calls.Go(func() error {
			made, err := d.client.CreateNetworkInterface(callCtx, &ec2.CreateNetworkInterfaceInput{
				SubnetId: subnets.Subnets[0].SubnetId, Groups: []string{groups[i%len(groups)]},
			})
			if err == nil {
				enis[i] = *made.NetworkInterface.NetworkInterfaceId
			}
			return err
		})
	}
	if err := calls.Wait(); err != nil {
		return err
	}
	revision := d.revision.Load()
	if err := d.ns.do(func() error {
		for i, id := range enis {
			device := fmt.Sprintf("crowd%d", i)
			if _, err := newDevice(device); err != nil {
				return err
			}
			l, err := netlink.LinkByName(device)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetAlias(l, id); err != nil {
				return fmt.Errorf("set the alias of %s: %w", device, err)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return d.waitInForce(ctx, revision, enis...)
}

// waitInForce waits until a revision is in force on interfaces.
func (d *dev) waitInForce(ctx context.Context, revision int64, enis ...string) error {
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		yes, err := d.isInForce(ctx, revision, enis...)
		if err != nil || yes {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("revision %d is not in force after five minutes", revision)
		}
	}
}
