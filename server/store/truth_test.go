package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sallyport/sallyport/server/ec2api/ec2apitest"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

// truthQuotas are small, so that clients are at them most of the time.
var truthQuotas = map[vpc.QuotaName]int{
	vpc.SecurityGroupsPerRegion: 18, vpc.RulesPerSecurityGroup: 6, vpc.SecurityGroupsPerInterface: 3,
	vpc.VPCsPerRegion: 4, vpc.SubnetsPerVPC: 7, vpc.InterfacesPerRegion: 24, vpc.AddressesPerInterface: 3,
	vpc.PrefixListsPerRegion: 3, vpc.PeeringsPerVPC: 2, vpc.EntriesPerPrefixList: 4, vpc.VersionsPerPrefixList: 1000,
	vpc.OutstandingPeerings: 2, vpc.InstancesPerHost: 6, vpc.CIDRsPerVPC: 5,
}

// ids are the objects that clients know of, of each prefix: they work on one another's, and on ones that
// somebody has deleted meanwhile.
type ids struct {
	mu   sync.Mutex
	of   map[string][]string
	home map[string]string // the VPC of a group or subnet
}

func (i *ids) add(id, home string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	kind := id[:strings.LastIndexByte(id, '-')]
	i.home[id] = home
	i.of[kind] = append(i.of[kind], id)
}

func (i *ids) remove(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	kind := id[:strings.LastIndexByte(id, '-')]
	i.of[kind] = slices.DeleteFunc(i.of[kind], func(x string) bool { return x == id })
}

func (i *ids) pick(kind string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.of[kind]) == 0 {
		return kind + "-0123456789abcdef0"
	}
	return i.of[kind][rand.IntN(len(i.of[kind]))]
}

func (i *ids) homeOf(id string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.home[id]
}

// near returns a group or subnet of the VPC that another object is in, if there is one.
func (i *ids) near(kind, id string) string {
	for range 20 {
		near := i.pick(kind)
		if i.homeOf(near) == i.homeOf(id) {
			return near
		}
	}
	return i.pick(kind)
}

// truth is a run of many clients.
type truth struct {
	ids   ids
	mu    sync.Mutex
	calls []call
	stale []string
	done  map[string]int // how often each action succeeded
}

// wanted are the actions that must succeed, or the test is too narrow.
var wanted = []string{
	"CreateSecurityGroup", "DeleteSecurityGroup", "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress",
	"CreateNetworkInterface", "DeleteNetworkInterface", "ModifyNetworkInterfaceAttribute", "AssignPrivateIpAddresses",
	"CreateTags", "CreateManagedPrefixList", "ModifyManagedPrefixList",
	"CreateVpcPeeringConnection", "AcceptVpcPeeringConnection", "DeleteVpcPeeringConnection",
	"RunInstances", "TerminateInstances", "CreateVpc", "CreateSubnet", "DeleteSubnet",
}

// missing returns the wanted actions that have not succeeded yet.
func (r *truth) missing() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(wanted), func(action string) bool { return r.done[action] > 0 })
}

// note takes a call down.
func (r *truth) note(c call) {
	for i := 0; i < len(c.on); i++ { // a rule goes with its group, and that with its VPC
		if home := r.ids.homeOf(strings.TrimPrefix(c.on[i], "is ")); home != "" {
			c.on = append(c.on, "is "+home)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
	if _, rest, ok := strings.Cut(c.what, "Action="); ok && c.status == 200 {
		action, _, _ := strings.Cut(rest, "&")
		r.done[action]++
	}
}

// client makes n random calls to the servers at addrs by turns, and more, to a bound, until all that is
// wanted has succeeded. It reads its writes at another server.
func (r *truth) client(t *testing.T, name string, addrs []string, n int) {
	var clients []*ec2apitest.Client
	for _, a := range addrs {
		clients = append(clients, newClient(t, a))
	}
	for k := 0; k < n || k < 5*n && len(r.missing()) > 0; k++ {
		form, said := r.ask(fmt.Sprintf("%s-%d", name, k))
		a, err := clients[k%len(clients)].Do(context.Background(), form)
		if err != nil {
			t.Errorf("%s: %v", form.Encode(), err)
			return
		}
		c := call{what: name + " " + form.Encode(), status: a.Status, code: a.Code(), revision: a.Revision}
		if a.Status == 200 {
			said(a, &c)
		}
		r.note(c)
		if a.Status != 200 || k%3 != 0 {
			continue
		}
		seen, err := clients[(k+1)%len(clients)].Do(context.Background(), ec2apitest.Form("DescribeVpcs"))
		if err != nil || seen.Revision < c.revision {
			r.mu.Lock()
			r.stale = append(r.stale, fmt.Sprintf("stale: %s was acknowledged at %d, and then a read shows revision %d (%v)", c.what, c.revision, seen.Revision, err))
			r.mu.Unlock()
		}
	}
}

func one[T any](of ...T) T { return of[rand.IntN(len(of))] }

// ask returns a random request, and what takes down what its answer makes true.
func (r *truth) ask(unique string) (url.Values, func(ec2apitest.Answer, *call)) {
	form := ec2apitest.Form
	pick := r.ids.pick
	made := func(element, home string, also ...string) func(ec2apitest.Answer, *call) {
		return func(a ec2apitest.Answer, c *call) {
			id := a.Text(element)
			r.ids.add(id, home)
			c.makes = append(c.makes, "is "+id)
			c.on = append(c.on, "is "+id)
			for _, fact := range also {
				c.makes = append(c.makes, fmt.Sprintf(fact, id))
			}
		}
	}
	ended := func(id string) func(ec2apitest.Answer, *call) {
		return func(_ ec2apitest.Answer, c *call) {
			r.ids.remove(id)
			c.ends = append(c.ends, "is "+id)
		}
	}
	sg, eni, pl := pick("sg"), pick("eni"), pick("pl")
	switch rand.IntN(28) {
	case 0:
		return form("CreateVpc", "CidrBlock", one("10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16")), made("vpcId", "")
	case 1:
		if rand.IntN(3) > 0 { // most would be refused: there is something in it
			return form("DescribeVpcs"), func(ec2apitest.Answer, *call) {}
		}
		id := pick("vpc")
		return form("DeleteVpc", "VpcId", id), ended(id)
	case 2:
		v := pick("vpc")
		return form("CreateSubnet", "VpcId", v, "CidrBlock", fmt.Sprintf("10.%d.%d.0/28", rand.IntN(3), rand.IntN(3))), made("subnetId", v)
	case 3:
		if rand.IntN(4) > 0 { // or there is none left for an interface
			return form("DescribeSubnets"), func(ec2apitest.Answer, *call) {}
		}
		id := pick("subnet")
		return form("DeleteSubnet", "SubnetId", id), ended(id)
	case 4, 5, 6:
		v := pick("vpc")
		return form("CreateSecurityGroup", "GroupName", fmt.Sprint("g", rand.IntN(12)), "GroupDescription", unique, "VpcId", v), made("groupId", v)
	case 7:
		if rand.IntN(2) == 0 {
			return form("DescribeSecurityGroups"), func(ec2apitest.Answer, *call) {}
		}
		return form("DeleteSecurityGroup", "GroupId", sg), ended(sg)
	case 8, 9, 10, 11:
		f := form(one("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"), "GroupId", sg,
			"IpPermissions.1.IpProtocol", "tcp", "IpPermissions.1.FromPort", one("1", "2", "3"), "IpPermissions.1.ToPort", "3")
		switch rand.IntN(8) {
		case 0, 1, 2, 3, 4:
			f.Set("IpPermissions.1.IpRanges.1.CidrIp", one("10.0.0.0/8", "192.0.2.0/24"))
		case 5, 6:
			f.Set("IpPermissions.1.Groups.1.GroupId", r.ids.near("sg", sg))
		default:
			f.Set("IpPermissions.1.PrefixListIds.1.PrefixListId", pl)
		}
		return f, func(a ec2apitest.Answer, c *call) {
			made("securityGroupRuleId", sg)(a, c)
			c.on = append(c.on, "is "+sg)
		}
	case 12, 13:
		id := pick("sgr")
		sg := r.ids.homeOf(id)
		return form(one("RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"), "GroupId", sg, "SecurityGroupRuleId.1", id), ended(id)
	case 14, 15:
		f := form("CreateNetworkInterface", "SubnetId", r.ids.near("subnet", sg), "SecurityGroupId.1", sg, "Description", unique)
		if rand.IntN(2) == 0 {
			f.Set("PrivateIpAddress", fmt.Sprintf("10.%d.%d.%d", rand.IntN(3), rand.IntN(3), 4+rand.IntN(3)))
		}
		return f, made("networkInterfaceId", r.ids.homeOf(sg))
	case 16:
		return form("DeleteNetworkInterface", "NetworkInterfaceId", eni), ended(eni)
	case 17, 18:
		sg := r.ids.near("sg", eni)
		f := form("ModifyNetworkInterfaceAttribute", "NetworkInterfaceId", eni, "SecurityGroupId.1", sg)
		also := []string{sg}
		if other := r.ids.near("sg", eni); other != sg {
			f.Set("SecurityGroupId.2", other)
			also = append(also, other)
		}
		return f, func(_ ec2apitest.Answer, c *call) {
			c.ends, c.on = []string{"carries " + eni + " *"}, []string{"is " + eni}
			for _, g := range also {
				c.makes = append(c.makes, "carries "+eni+" "+g)
			}
		}
	case 19:
		return form("AssignPrivateIpAddresses", "NetworkInterfaceId", eni, "SecondaryPrivateIpAddressCount", "1"),
			func(a ec2apitest.Answer, c *call) {
				c.on = []string{"is " + eni}
				for _, address := range a.Texts("privateIpAddress") {
					c.makes = append(c.makes, "address "+eni+" "+address)
				}
			}
	case 20:
		id := one(sg, eni, pl, pick("vpc"), pick("sgr"))
		return form("CreateTags", "ResourceId.1", id, "Tag.1.Key", unique, "Tag.1.Value", "v"), func(_ ec2apitest.Answer, c *call) {
			c.makes, c.on = []string{"tag " + id + " " + unique + "=v"}, []string{"is " + id}
		}
	case 21:
		// One key that all set, with values of their own: the last one holds.
		return form("CreateTags", "ResourceId.1", sg, "Tag.1.Key", "Name", "Tag.1.Value", unique), func(_ ec2apitest.Answer, c *call) {
			c.ends = []string{"tag " + sg + " Name=*"}
			c.makes, c.on = []string{"tag " + sg + " Name=" + unique}, []string{"is " + sg}
		}
	case 22:
		return form("CreateManagedPrefixList", "PrefixListName", unique, "AddressFamily", "IPv4", "MaxEntries", "3",
			"Entry.1.Cidr", "192.0.2.0/24"), made("prefixListId", "", "version %s 1")
	case 23, 24:
		version := 1 + rand.IntN(3)
		f := form("ModifyManagedPrefixList", "PrefixListId", pl, "CurrentVersion", fmt.Sprint(version))
		f.Set(one("AddEntry.1.Cidr", "RemoveEntry.1.Cidr"), one("10.0.0.0/16", "10.1.0.0/16", "192.0.2.0/24"))
		return f, func(_ ec2apitest.Answer, c *call) {
			c.makes, c.on = []string{fmt.Sprintf("version %s %d", pl, version+1)}, []string{"is " + pl}
		}
	case 25:
		if rand.IntN(2) == 0 {
			return form("DeleteManagedPrefixList", "PrefixListId", pl), ended(pl)
		}
		return form("RunInstances", "ImageId", vpc.ImageNetns, "MinCount", "1", "MaxCount", "1", "SubnetId", r.ids.near("subnet", sg), "SecurityGroupId.1", sg),
			func(a ec2apitest.Answer, c *call) {
				made("instanceId", "", "state %s pending")(a, c)
				made("networkInterfaceId", r.ids.homeOf(sg))(a, c)
			}
	case 26:
		return form("CreateVpcPeeringConnection", "VpcId", pick("vpc"), "PeerVpcId", pick("vpc")), func(a ec2apitest.Answer, c *call) {
			made("vpcPeeringConnectionId", "")(a, c)
			c.makes = append(c.makes, "state "+a.Text("vpcPeeringConnectionId")+" *")
		}
	default:
		if rand.IntN(3) == 0 {
			i := pick("i")
			return form("TerminateInstances", "InstanceId.1", i), func(_ ec2apitest.Answer, c *call) {
				c.makes, c.ends = []string{"state " + i + " *"}, nil
				c.ends = []string{"state " + i + " pending", "state " + i + " running"}
			}
		}
		id := pick("pcx")
		if rand.IntN(3) > 0 {
			return form("AcceptVpcPeeringConnection", "VpcPeeringConnectionId", id), func(_ ec2apitest.Answer, c *call) {
				c.makes, c.ends = []string{"state " + id + " *"}, []string{"state " + id + " pending-acceptance"}
			}
		}
		return form("DeleteVpcPeeringConnection", "VpcPeeringConnectionId", id), func(_ ec2apitest.Answer, c *call) {
			r.ids.remove(id)
			c.makes = []string{"state " + id + " deleted"}
			c.ends = []string{"state " + id + " active", "state " + id + " pending-acceptance"}
		}
	}
}

// host does what the host of the lab guests would: what it does counts as calls, too.
func (r *truth) host(ctx context.Context, t *testing.T, s *store.Store) {
	env := func() vpc.Env { return vpc.Env{Now: time.Now().UTC(), ID: vpc.RandomID} }
	for n := range s.Watch(ctx) {
		for i := range n.Instances() {
			c := call{what: "host", status: 200}
			var do func(*vpc.State) (vpc.Change, error)
			switch i.State {
			case vpc.Pending:
				c.makes, c.ends = []string{"state " + string(i.ID) + " running"}, []string{"state " + string(i.ID) + " pending"}
				c.on = c.makes // it may be ended in the same revision
				do = func(s *vpc.State) (vpc.Change, error) { return s.GuestRunning(env(), i.ID) }
			case vpc.ShuttingDown:
				c.makes = []string{"state " + string(i.ID) + " terminated"}
				c.ends = []string{"state " + string(i.ID) + " shutting-down"}
				for e := range n.InterfacesOfInstance(i.ID) {
					c.ends = append(c.ends, "is "+string(e.ID))
				}
				do = func(s *vpc.State) (vpc.Change, error) { return s.GuestStopped(env(), i.ID, "") }
			default:
				continue
			}
			wrote := false
			revision, err := s.Update(ctx, func(s *vpc.State) (vpc.Change, error) {
				change, err := do(s)
				wrote = !change.Empty()
				return change, err
			})
			if c.revision = revision; err == nil && wrote {
				r.note(c)
			} else if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
				t.Errorf("host: %v", err)
			}
		}
	}
}

// run lets clients work on servers for a while and returns what is not true.
func runTruth(t *testing.T, stores []*store.Store, endpoints []string, clients, calls int) []string {
	install(t, stores[0], truthQuotas)
	installed := read(t, stores[0]).Revision()
	r := &truth{ids: ids{of: map[string][]string{}, home: map[string]string{}}, done: map[string]int{}}
	state := read(t, stores[0])
	for v := range state.VPCs() {
		r.ids.add(string(v.ID), "")
	}
	for n := range state.Subnets() {
		r.ids.add(string(n.ID), string(n.VPC))
	}
	var addrs []string
	for _, s := range stores {
		addrs = append(addrs, serveAPI(t, s))
	}
	addrs = append(addrs, roundRobin(t, addrs))
	ctx, stop := context.WithCancel(t.Context())
	var hosts, wg sync.WaitGroup
	hosts.Go(func() { r.host(ctx, t, stores[0]) })
	for c := range clients {
		wg.Go(func() {
			r.client(t, fmt.Sprint("c", c), slices.Concat(addrs[c%len(addrs):], addrs[:c%len(addrs)]), calls)
		})
	}
	wg.Wait()
	stop()
	hosts.Wait()
	history := replay(t, endpoints)
	t.Logf("%d calls, %d revisions; done: %v", len(r.calls), len(history), r.done)
	if missing := r.missing(); len(missing) > 0 {
		t.Errorf("the test is too narrow: %v never succeeded", missing)
	}
	return append(r.stale, untruths(r.calls, history, installed)...)
}

// Many clients work on one another's objects, over HTTP and on two servers; nothing that must not be
// is in any revision, and nobody was told what is not true.
func TestConcurrentTruth(t *testing.T) {
	start := func(t *testing.T, servers int, change func(clientv3.Op) clientv3.Op) ([]*store.Store, []string) {
		endpoints := storetest.Etcd(t)
		var stores []*store.Store
		for range servers {
			l := &line{next: func(int64, clientv3.Op) fault { return none }, change: change}
			s, _ := connected(t, l, store.Options{Endpoints: endpoints, Timeout: time.Minute})
			stores = append(stores, s)
		}
		return stores, endpoints
	}
	t.Run("one server", func(t *testing.T) {
		s, endpoint := connected(t, &line{next: func(int64, clientv3.Op) fault { return none }}, store.Options{Timeout: time.Minute})
		for _, v := range runTruth(t, []*store.Store{s}, []string{endpoint}, 24, 80) {
			t.Error(v)
		}
	})
	t.Run("two servers", func(t *testing.T) {
		stores, endpoints := start(t, 2, nil)
		for _, v := range runTruth(t, stores, endpoints, 24, 80) {
			t.Error(v)
		}
	})
	t.Run("two servers, three members", func(t *testing.T) {
		endpoints, stop := storetest.Cluster(t, 3)
		var stores []*store.Store
		for range 2 {
			stores = append(stores, storetest.Start(t, store.Options{Endpoints: endpoints, Log: quiet()}))
		}
		for _, v := range runTruth(t, stores, endpoints, 12, 40) {
			t.Error(v)
		}
		// With one member gone, whichever it is, both servers go on; calls may fail until there is a
		// leader.
		stop(0)
		for i, s := range stores {
			c := newClient(t, serveAPI(t, s))
			for n := 0; ; n++ {
				name := fmt.Sprintf("after-%d-%d", i, n)
				a, err := c.Do(t.Context(), ec2apitest.Form("CreateTags", "ResourceId.1", string(read(t, s).Installation().DefaultVPC), "Tag.1.Key", name))
				if err == nil && a.Status == 200 {
					break
				}
				if err != nil || a.Code() != string(vpc.CodeInternalError) || n == 100 {
					t.Fatalf("without one member: %v %d %s", err, a.Status, a.Body)
				}
			}
		}
	})
	t.Run("broken variant: no fence", func(t *testing.T) {
		stores, endpoints := start(t, 2, func(op clientv3.Op) clientv3.Op {
			if !commits(op) {
				return op
			}
			_, then, otherwise := op.Txn()
			return clientv3.OpTxn(nil, then, otherwise)
		})
		found := runTruth(t, stores, endpoints, 24, 80)
		kinds := map[string]int{}
		for _, v := range found {
			for _, kind := range []string{"lost update", "twice", "duplicate rule", "dangling", "quota", "not visible"} {
				if strings.Contains(v, kind) {
					kinds[kind]++
				}
			}
		}
		t.Logf("%v", kinds)
		if kinds["lost update"] == 0 || len(kinds) < 3 {
			t.Errorf("the checker does not see that the fence is missing: %v", kinds)
		}
	})
}
