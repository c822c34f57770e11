package clients_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// list reads a prefix list, which must be in that state, and its entries, page by page, as `cidr description`.
func (tf terraform) list(t *testing.T, id string, state types.PrefixListState) (list types.ManagedPrefixList, entries string) {
	t.Helper()
	ctx := t.Context()
	list = one(t, must(tf.DescribeManagedPrefixLists(ctx, &ec2.DescribeManagedPrefixListsInput{PrefixListIds: []string{id}}))(t).PrefixLists)
	equal(t, "state", list.State, state)
	pages := ec2.NewGetManagedPrefixListEntriesPaginator(tf, &ec2.GetManagedPrefixListEntriesInput{PrefixListId: &id})
	for pages.HasMorePages() {
		for _, e := range must(pages.NextPage(ctx))(t).Entries {
			entries += fmt.Sprintf("%s %s;", *e.Cidr, aws.ToString(e.Description))
		}
	}
	return list, entries
}

func entry(cidr, description string) types.AddPrefixListEntry {
	return types.AddPrefixListEntry{Cidr: &cidr, Description: &description}
}

func terraformPrefixList(t *testing.T, tf terraform) {
	ctx := t.Context()
	vpcID, _ := tf.vpc(t)
	created := must(tf.CreateManagedPrefixList(ctx, &ec2.CreateManagedPrefixListInput{
		ClientToken: aws.String("terraform-1"), PrefixListName: aws.String("offices"), AddressFamily: aws.String("IPv4"), MaxEntries: aws.Int32(2),
		Entries:           []types.AddPrefixListEntry{entry("192.0.2.0/24", "north"), entry("198.51.100.0/24", "south")},
		TagSpecifications: specification(types.ResourceTypePrefixList, "Name=offices"),
	}))(t).PrefixList
	id := *created.PrefixListId
	list, entries := tf.list(t, id, types.PrefixListStateCreateComplete)
	equal(t, "entries", entries, "192.0.2.0/24 north;198.51.100.0/24 south;")
	equal(t, "version", *list.Version, 1)
	equal(t, "family", *list.AddressFamily, "IPv4")
	equal(t, "most entries", *list.MaxEntries, 2)
	equal(t, "name", *list.PrefixListName, "offices")
	equal(t, "ARN", *list.PrefixListArn, "arn:aws:ec2:us-east-1:"+*list.OwnerId+":prefix-list/"+id)
	equal(t, "tags", tagsOf(list.Tags), "Name=offices")
	if list.StateMessage != nil {
		t.Errorf("there is a message: %s", *list.StateMessage)
	}

	// A group that names it: aws_vpc_security_group_ingress_rule with prefix_list_id.
	group := newGroup(t, tf.Client, vpcID, "lists")
	rule := one(t, must(tf.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &group, IpPermissions: []types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), PrefixListIds: []types.PrefixListId{{PrefixListId: &id}},
	}}}))(t).SecurityGroupRules)
	equal(t, "source", aws.ToString(rule.PrefixListId), id)

	// Room first, then entries and name in one call.
	must(tf.ModifyManagedPrefixList(ctx, &ec2.ModifyManagedPrefixListInput{PrefixListId: &id, MaxEntries: aws.Int32(5)}))(t)
	list, _ = tf.list(t, id, types.PrefixListStateModifyComplete)
	equal(t, "most entries", *list.MaxEntries, 5)
	equal(t, "version", *list.Version, 1)
	must(tf.ModifyManagedPrefixList(ctx, &ec2.ModifyManagedPrefixListInput{
		PrefixListId: &id, CurrentVersion: list.Version, PrefixListName: aws.String("branches"),
		AddEntries:    []types.AddPrefixListEntry{entry("203.0.113.0/24", "east")},
		RemoveEntries: []types.RemovePrefixListEntry{{Cidr: aws.String("198.51.100.0/24")}},
	}))(t)
	list, entries = tf.list(t, id, types.PrefixListStateModifyComplete)
	equal(t, "entries", entries, "192.0.2.0/24 north;203.0.113.0/24 east;")
	equal(t, "name and version", fmt.Sprint(*list.PrefixListName, *list.Version), "branches2")
	// Only a description: out, and in again.
	must(tf.ModifyManagedPrefixList(ctx, &ec2.ModifyManagedPrefixListInput{
		PrefixListId: &id, CurrentVersion: list.Version, RemoveEntries: []types.RemovePrefixListEntry{{Cidr: aws.String("203.0.113.0/24")}},
	}))(t)
	list, _ = tf.list(t, id, types.PrefixListStateModifyComplete)
	must(tf.ModifyManagedPrefixList(ctx, &ec2.ModifyManagedPrefixListInput{
		PrefixListId: &id, CurrentVersion: list.Version, AddEntries: []types.AddPrefixListEntry{entry("203.0.113.0/24", "far east")},
	}))(t)
	list, entries = tf.list(t, id, types.PrefixListStateModifyComplete)
	equal(t, "entries", entries, "192.0.2.0/24 north;203.0.113.0/24 far east;")
	equal(t, "version", *list.Version, 4)
	// Less room last.
	must(tf.ModifyManagedPrefixList(ctx, &ec2.ModifyManagedPrefixListInput{PrefixListId: &id, MaxEntries: aws.Int32(3)}))(t)
	must(tf.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("branches")}}}))(t)
	list, _ = tf.list(t, id, types.PrefixListStateModifyComplete)
	equal(t, "tags", tagsOf(list.Tags), "Name=branches")

	// aws_ec2_managed_prefix_list_entry: another writer was first; delete what is gone.
	refused(tf.ModifyManagedPrefixList(ctx, &ec2.ModifyManagedPrefixListInput{
		PrefixListId: &id, CurrentVersion: aws.Int64(1), AddEntries: []types.AddPrefixListEntry{entry("10.0.0.0/8", "late")},
	}))(t, "PrefixListVersionMismatch", "The prefix list has the incorrect version number")
	refused(tf.ModifyManagedPrefixList(ctx, &ec2.ModifyManagedPrefixListInput{
		PrefixListId: &id, CurrentVersion: list.Version, RemoveEntries: []types.RemovePrefixListEntry{{Cidr: aws.String("10.0.0.0/8")}},
	}))(t, "InvalidPrefixListModification", "does not exist.")

	// aws_ec2_managed_prefix_list as a data source.
	found := one(t, must(tf.DescribeManagedPrefixLists(ctx, &ec2.DescribeManagedPrefixListsInput{Filters: []types.Filter{filter("prefix-list-name", "branches")}}))(t).PrefixLists)
	equal(t, "list", *found.PrefixListId, id)

	// Destroy: the reference pins it.
	refused(tf.DeleteManagedPrefixList(ctx, &ec2.DeleteManagedPrefixListInput{PrefixListId: &id}))(t, "DependencyViolation", "")
	tf.destroyGroup(t, group)
	must(tf.DeleteManagedPrefixList(ctx, &ec2.DeleteManagedPrefixListInput{PrefixListId: &id}))(t)
	refused(tf.DescribeManagedPrefixLists(ctx, &ec2.DescribeManagedPrefixListsInput{PrefixListIds: []string{id}}))(t, "InvalidPrefixListID.NotFound", id)
}
