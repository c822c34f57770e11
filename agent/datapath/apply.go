package datapath

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/ruleset"
)

// Apply puts tables and members in force for the attached ENIs, all of it at one moment: it writes
// beside what is in force, then turns every packet of the host over with a single store. ENIs of t
// that are not attached are remembered until they are; attached ones that t does not name are
// closed. On an error the last good tables stay in force, and what was built is freed.
//
// What is in force when Apply returns is t and m, which must not be changed after that. Applying
// what is in force already writes nothing.
func (d *Datapath) Apply(t ruleset.Tables, m ruleset.Members) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.apply(t, m); err != nil {
		return err
	}
	// Not now: the caller waits for what is in force, not for what is free. Not at the next Apply: that
	// one would wait for this one's grace period.
	epoch, passed := d.state.Epoch, d.passed
	d.settling.Go(func() { d.settleAfter(epoch, passed()) })
	return nil
}

func (d *Datapath) apply(t ruleset.Tables, m ruleset.Members) error {
	if err := d.settle(); err != nil {
		return fmt.Errorf("reclaim what the last change left: %w", err)
	}
	before := d.writes
	if err := d.build(t, m); err != nil {
		// Nothing of it is in force: no packet looks, so nothing need be waited for.
		return errors.Join(err, d.reclaim())
	}
	state := d.state
	now := d.epoch()
	if d.writes == before {
		atomic.StoreUint64(&state.Revision[now], uint64(t.Revision))
	} else {
		state.Revision[1-now] = uint64(t.Revision)
		atomic.AddUint64(&state.Epoch, 1)
		d.pending, d.passed = true, sync.OnceValue(gracePeriod)
	}
	if m == nil {
		m = ruleset.Members{}
	}
	d.applied, d.appliedMembers = &t, m
	return d.finishUpgrade()
}

// epoch is which of two values counts, 0 or 1. Only this process flips it.
func (d *Datapath) epoch() int { return int(atomic.LoadUint64(&d.state.Epoch) & 1) }

// build writes all that t and m say to the idle epoch.
func (d *Datapath) build(t ruleset.Tables, m ruleset.Members) error {
	type ready struct {
		config          guestEniConfig
		ingress, egress *table
	}
	enis := map[uint32]ready{} // by slot
	observed := map[time.Time]bool{}
	for slot, a := range d.slots {
		if a.ENI == "" {
			continue
		}
		var r ready
		if eni, ok := t.ENIs[a.ENI]; ok {
			var err error
			if r.config, r.ingress, r.egress, err = d.buildENI(eni); err != nil {
				return fmt.Errorf("build the tables of %s: %w", a.ENI, err)
			}
			observed[instant(eni.Observe)] = true
		}
		enis[slot] = r
	}
	maps.DeleteFunc(d.observations, func(until time.Time, _ uint64) bool { return !observed[until] })
	if err := d.buildAddresses(t); err != nil {
		return fmt.Errorf("write the addresses of ENIs: %w", err)
	}
	if err := d.buildLists(t.Lists); err != nil {
		return fmt.Errorf("write prefix lists: %w", err)
	}
	if err := d.buildMembers(m, t.Patch); err != nil {
		return fmt.Errorf("write members: %w", err)
	}
	// Now that all sets are known that a packet can come from.
	for slot, r := range enis {
		if r.ingress != nil {
			eni := d.slots[slot].ENI
			if err := d.complete(&r.config, r.ingress, r.egress); err != nil {
				return fmt.Errorf("build the tables of %s: %w", eni, err)
			}
			r.config.Domain = d.members.line(t.ENIs[eni].Domain, 1-d.epoch())
			d.rules.place(d.enis[slot].Number, r.config.Tables, d.tables.byNumber)
		}
		idle := &d.enis[slot].Config[1-d.epoch()]
		if *idle != r.config {
			*idle = r.config
			d.writes++
		}
	}
	return d.pool.publish()
}

// complete says where the tables of an ENI are.
func (d *Datapath) complete(config *guestEniConfig, ingress, egress *table) error {
	in, err := d.tables.complete(ingress)
	if err != nil {
		return err
	}
	out, err := d.tables.complete(egress)
	if err != nil {
		return err
	}
	config.Tables = uint64(ingress.number)<<32 | uint64(egress.number)
	config.Roots = uint64(in)<<32 | uint64(out)
	return nil
}

// egressFlags is how far those of what a direction lets everybody send are those of ingress shifted.
const egressFlags = 4

func (d *Datapath) buildENI(eni ruleset.ENITables) (config guestEniConfig, ingress, egress *table, err error) {
	if eni.Ingress == nil || eni.Egress == nil {
		return config, nil, nil, errors.New("a direction has no table")
	}
	if ingress, err = d.tables.find(eni.Ingress); err != nil {
		return config, nil, nil, err
	}
	if egress, err = d.tables.find(eni.Egress); err != nil {
		return config, nil, nil, err
	}
	config.Mac = eni.MAC
	config.Prefix64 = prefix64(eni)
	config.Timeouts = d.timeoutsOf(eni.Timeouts)
	if eni.SourceDestCheck {
		config.Flags |= guestEniFlagENI_SOURCE_DEST_CHECK
	}
	putOwn(&config, eni.Addresses)
	if len(eni.Prefixes) > 0 {
		config.Flags |= guestEniFlagENI_OWN_PREFIXES
	}
	if d.anyLinkLocal {
		config.Flags |= guestEniFlagENI_ANY_FE80
	}
	if len(eni.Ingress.Lists)+len(eni.Egress.Lists) > 0 {
		config.Flags |= guestEniFlagENI_LISTS
	}
	config.Flags |= ingress.open | egress.open<<egressFlags
	config.ObserveUntil, err = d.observeUntil(eni.Observe)
	return config, ingress, egress, err
}

// putOwn notes the first address of each family, and whether there are more.
func putOwn(config *guestEniConfig, addresses []netip.Addr) {
	for _, a := range addresses {
		switch family, own := address(a); {
		case family == guestFamilyFAMILY_IPV4 && config.Own4 == 0:
			config.Own4 = own.Words[0]
		case family == guestFamilyFAMILY_IPV6 && config.Own6 == guestAddress{}:
			config.Own6 = own
		default:
			config.Flags |= guestEniFlagENI_OWN_OTHERS
		}
	}
}

// prefix64 is the /64 of the ENI's subnet in network order: that of its first address, or else of its
// first delegated prefix or router, that is not link-local. Zeros if there is none.
func prefix64(eni ruleset.ENITables) (prefix [2]uint32) {
	known := slices.Clone(eni.Addresses)
	for _, p := range eni.Prefixes {
		known = append(known, p.Addr())
	}
	for _, a := range append(known, eni.Routers...) {
		if a.Is6() && !a.Is4In6() && !a.IsLinkLocalUnicast() {
			_, words := address(a)
			return [2]uint32(words.Words[:2])
		}
	}
	return prefix
}

// buildAddresses says which addresses are an attached ENI's own or its routers'.
func (d *Datapath) buildAddresses(t ruleset.Tables) error {
	want := map[guestAddressKey]guestRole{}
	for slot, a := range d.slots {
		eni, ok := t.ENIs[a.ENI]
		if !ok {
			continue
		}
		for _, router := range append(slices.Clone(d.routers), eni.Routers...) {
			want[addressKey(d.enis[slot].Number, router)] = guestRoleROLE_ROUTER
		}
		for _, own := range eni.Addresses {
			want[addressKey(d.enis[slot].Number, own)] = guestRoleROLE_OWN
		}
		for _, p := range eni.Prefixes {
			key, err := delegatedKey(d.enis[slot].Number, p)
			if err != nil {
				return fmt.Errorf("%s: %w", a.ENI, err)
			}
			want[key] = guestRoleROLE_OWN
		}
	}
	return assign(d.addresses, 1-d.epoch(), want)
}

// assign makes the next epoch's values those of want, and no others.
func assign[K comparable, V ~uint32](e *epochMap[K], next int, want map[K]V) error {
	for key := range e.have {
		if _, ok := want[key]; !ok {
			if err := e.set(key, next, 0); err != nil {
				return err
			}
		}
	}
	for key, value := range want {
		if err := e.set(key, next, uint32(value)); err != nil {
			return full(err, e.m)
		}
	}
	return nil
}

// settle ends the last change: after a grace period nothing looks at the former epoch, and what only
// that one needed is freed. It waits for the rest of the grace period that has begun already.
func (d *Datapath) settle() error {
	if !d.pending {
		return nil
	}
	if d.passed() != nil { // waiting failed beside this: another may be waited for
		d.passed = sync.OnceValue(gracePeriod)
		if err := d.passed(); err != nil {
			return err
		}
	}
	return d.reclaim()
}

// settleAfter settles the change that led to an epoch, unless another has come meanwhile: err is why
// its grace period could not be waited for.
func (d *Datapath) settleAfter(epoch uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == nil || d.state.Epoch != epoch || !d.pending {
		return
	}
	if err == nil {
		err = d.reclaim()
	}
	if err != nil {
		d.log.Warn("the last change is not settled yet, the next settles it", "err", err)
	}
}

// reclaim makes the idle epoch equal to the one that counts and frees what that one does not need.
// No packet may be in the idle epoch.
func (d *Datapath) reclaim() error {
	d.pending = true // until it is done
	epoch := d.epoch()
	if err := d.addresses.settle(epoch); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	d.members.settle(epoch)
	tables, roots := map[uint32]bool{}, map[uint32]bool{}
	for slot := range d.slots {
		configs := &d.enis[slot].Config
		if configs[1-epoch] != configs[epoch] {
			configs[1-epoch] = configs[epoch]
			d.writes++
		}
		tables[uint32(configs[epoch].Tables>>32)], tables[uint32(configs[epoch].Tables)] = true, true
		roots[uint32(configs[epoch].Roots>>32)], roots[uint32(configs[epoch].Roots)] = true, true
	}
	sets := map[uint32]bool{}
	if d.state.Lists[1-epoch] != d.state.Lists[epoch] {
		d.state.Lists[1-epoch] = d.state.Lists[epoch]
		d.writes++
	}
	if idle := d.lists[1-epoch]; idle != d.lists[epoch] {
		if idle != nil {
			d.pool.release(idle.block.first, idle.block.count)
		}
		d.lists[1-epoch] = d.lists[epoch]
	}
	if lists := d.lists[epoch]; lists != nil {
		for _, number := range lists.sets {
			sets[number] = true
		}
	}
	inForce := func(number uint32) bool { return tables[number] }
	if err := d.tables.retain(inForce, func(line uint32) bool { return roots[line] }, func(number uint32) bool { return sets[number] || d.members.used(number) }); err != nil {
		return err
	}
	if d.applied != nil && !d.takenOver { // what is in force is ours, for the first time
		if err := d.names.retain(guestKindKIND_TABLE, inForce); err != nil {
			return err
		}
		if err := d.pool.dropFormer(); err != nil {
			return err
		}
		d.takenOver = true
	}
	d.pending = false
	return nil
}
