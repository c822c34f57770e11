package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"time"

	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/vpc"
)

// apiSizes is what the API is measured with.
type apiSizes struct {
	Groups, Rules, ENIs int           // Rules of each group, inbound
	EmptyGroups         int           // that AuthorizeSecurityGroupIngress fills
	Callers             int           // at once
	Time                time.Duration // of each row
}

var (
	fullAPI  = apiSizes{Groups: 2500, Rules: 60, ENIs: 100_000, EmptyGroups: 500, Callers: 8, Time: 12 * time.Second}
	quickAPI = apiSizes{Groups: 500, Rules: 60, ENIs: 10_000, EmptyGroups: 100, Callers: 8, Time: 2 * time.Second}
)

const apiAccount vpc.AccountID = "123456789012"

// apiWorld are the objects beyond those of the first start: two VPCs with a subnet and half of all else
// each. Group i is in VPC i%2, and so is interface i, which carries two groups.
type apiWorld struct {
	full, empty []vpc.GroupID
	objects     []vpc.Object
	rules       uint32
}

func newAPIWorld(size apiSizes) *apiWorld {
	w := &apiWorld{}
	now := time.Now().UTC().Truncate(time.Second)
	id := func(prefix string, n int) string { return fmt.Sprintf("%s-%017x", prefix, n+1) }
	nets := []netip.Prefix{netip.MustParsePrefix("10.16.0.0/16"), netip.MustParsePrefix("10.17.0.0/16")}
	for i, cidr := range nets {
		v := vpc.VPCID(id("vpc", i))
		w.objects = append(w.objects,
			&vpc.VPC{
				ID: v, Created: now, DNSSupport: true,
				CIDRs: []vpc.CIDRAssociation{{ID: vpc.AssociationID(id("vpc-cidr-assoc", i)), CIDR: cidr}},
			},
			&vpc.Subnet{ID: vpc.SubnetID(id("subnet", i)), VPC: v, Created: now, Zone: region + "a", CIDR: cidr})
		w.group(vpc.GroupID(id("sg", 1<<20+i)), v, "default", now, 0)
	}
	for i := range size.Groups + size.EmptyGroups {
		g := vpc.GroupID(id("sg", i))
		rules := size.Rules
		if i >= size.Groups {
			rules = 0
			w.empty = append(w.empty, g)
		} else {
			w.full = append(w.full, g)
		}
		w.group(g, vpc.VPCID(id("vpc", i%2)), fmt.Sprintf("group-%05d", i), now.Add(time.Duration(i)*time.Millisecond), rules)
	}
	next := []netip.Addr{netip.MustParseAddr("10.16.0.16"), netip.MustParseAddr("10.17.0.16")}
	for i := range size.ENIs {
		v := i % 2
		g := i % size.Groups / 2 * 2
		w.objects = append(w.objects, &vpc.NetworkInterface{
			ID: vpc.InterfaceID(id("eni", i)), VPC: vpc.VPCID(id("vpc", v)), Subnet: vpc.SubnetID(id("subnet", v)), Created: now,
			MAC: vpc.MAC{2, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}, IPv4: []netip.Addr{next[v]},
			Groups:          []vpc.GroupID{w.full[g+v], w.full[(g+2)%size.Groups+v]},
			SourceDestCheck: true, Tags: vpc.Tags{"Name": fmt.Sprintf("eni-%06d", i)},
		})
		next[v] = next[v].Next()
	}
	return w
}

// group makes a group whose rules differ in port and block, as an administrator's do.
func (w *apiWorld) group(id vpc.GroupID, v vpc.VPCID, name string, at time.Time, rules int) {
	number := func() (vpc.RuleID, uint32) {
		w.rules++
		return vpc.RuleID(fmt.Sprintf("sgr-%017x", w.rules)), w.rules
	}
	g := &vpc.SecurityGroup{ID: id, VPC: v, Created: at, Name: name, Description: "made by the benchmark"}
	r, n := number()
	g.Rules = append(g.Rules, vpc.Rule{
		ID: r, Number: n, Egress: true, Protocol: vpc.AllProtocols, From: -1, To: -1,
		Peer: vpc.Peer{CIDR: netip.MustParsePrefix("0.0.0.0/0")},
	})
	for i := range rules {
		r, n := number()
		g.Rules = append(g.Rules, vpc.Rule{
			ID: r, Number: n, Protocol: vpc.TCP, From: int32(1000 + i/2), To: int32(1000 + i/2),
			Peer: vpc.Peer{CIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(n >> 8), 0}), 24)},
		})
	}
	w.objects = append(w.objects, g)
}

// fill writes the world into the data directory of a server that was started once and is not running.
// The store counts the rules on from there, and lets groups have more of them than EC2's default.
func (w *apiWorld) fill(ctx context.Context, dataDir string) error {
	st, err := store.New(store.Options{
		Dir: filepath.Join(dataDir, "etcd"), Account: apiAccount, Region: region, Timeout: time.Minute,
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- st.Run(running) }()
	err = w.write(ctx, st)
	stop()
	return errors.Join(err, <-ended)
}

func (w *apiWorld) write(ctx context.Context, st *store.Store) error {
	const at = 200 // objects per transaction: of the largest, 3 MB
	if _, err := st.Update(ctx, func(s *vpc.State) (vpc.Change, error) {
		i := *s.Installation()
		i.NextRule = 1_000_000 // beyond all rules of the world
		i.Quotas = map[vpc.QuotaName]int{
			vpc.RulesPerSecurityGroup: 1000, vpc.SecurityGroupsPerRegion: 10_000, vpc.InterfacesPerRegion: 200_000,
		}
		return vpc.Change{Puts: []vpc.Object{&i}}, nil
	}); err != nil {
		return err
	}
	for objects := w.objects; len(objects) > 0; {
		n := min(at, len(objects))
		if _, err := st.Update(ctx, func(*vpc.State) (vpc.Change, error) {
			return vpc.Change{Puts: objects[:n]}, nil
		}); err != nil {
			return err
		}
		objects = objects[n:]
	}
	return nil
}

// stateBytes returns how much memory a State of the world holds, decoded from what the store keeps.
func (w *apiWorld) stateBytes() (int64, error) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	s := new(vpc.State)
	for _, o := range w.objects {
		value, err := json.Marshal(o)
		if err != nil {
			return 0, err
		}
		stored, err := vpc.New(o.Key().Kind)
		if err != nil {
			return 0, err
		}
		if err := json.Unmarshal(value, stored); err != nil {
			return 0, err
		}
		s = s.Apply(vpc.Change{Puts: []vpc.Object{stored}}, s.Revision()+1)
	}
	held := heap() - before
	runtime.KeepAlive(s)
	return held, nil
}
