package sallyport_test

// goMutants are mistakes in what compiles rules and puts them in force, by file.
var goMutants = map[string][]mutant{
	rules + "/compile.go": {
		{
			"a prefix has only what shorter ones allow", "TestPromise03Union",
			`for _, h := range holders {`, `for _, h := range holders[:len(holders)-1] {`,
		},
		{
			"a prefix has only its own ports", "TestTablesEqualEvaluator",
			`for _, h := range holders {`, `for _, h := range holders[len(holders)-1:] {`,
		},
		{
			"a prefix has what a neighbour is allowed", "TestTablesEqualEvaluator",
			`n > 0 && !holders[n-1].Contains(cidr.Addr())`, `n < 0`,
		},
		{
			"the shortest prefix is named first", "TestNamedRule",
			`		slices.Sort(which)
`, ``,
		},
		{
			"ingress rules are egress rules too", "TestPromise02TwoGates",
			`direction(r) == d && enforceable(r)`, `enforceable(r)`,
		},
		{
			"rules that make no sense are enforced", "TestRulesThatMakeNoSense",
			`direction(r) == d && enforceable(r)`, `direction(r) == d`,
		},
		{
			"rules are not sorted by precedence", "TestNamedRule",
			`	slices.SortFunc(rules, byPrecedence)
`, ``,
		},
		{
			"a table of other rules stays in use", "TestCompilerKeepsPointers",
			`if !ok || !slices.EqualFunc(old.rules, rules, sameRule) {`, `if !ok {`,
		},
		{
			"every compilation makes new tables", "TestPromise10TablesDoNotKnowMembers",
			`if !ok || !slices.EqualFunc(old.rules, rules, sameRule) {`, `if !ok || ok {`,
		},
		{
			"all types of ICMP are one", "TestIntervals",
			`first |= uint32(r.From) << 8
			last = first | 0xff`, `last = first | 0xffff`,
		},
		{
			"an interval is one port too long", "TestIntervals",
			`first, last = first|uint32(r.From), first|uint32(r.To)`, `first, last = first|uint32(r.From), first|uint32(r.To)+1`,
		},
		{
			"neighbours of two rules are joined", "TestIntervals",
			`out[n-1].Rule == rule && out[n-1].To+1 == cuts[k]`, `out[n-1].To+1 == cuts[k]`,
		},
		{
			"an interval is its first port", "TestTablesEqualEvaluator",
			`case i.To < port:`, `case i.From < port:`,
		},
		{
			"a member of several groups has what the first allows", "TestPromise03Union",
			`if peers < 2 {
		return all
	}`, `if peers < 2 {
		return all
	}
	return allowed[sortedSet(ids)[0]]`,
		},
	},
	rules + "/judge.go": {
		{
			"what no rule allows is allowed", "TestPromise01ClosedByDefault",
			`return Verdict{Reason: ReasonNoRule}`, `return Verdict{Action: Allow, Reason: ReasonNoRule}`,
		},
		{
			"the two gates are one", "TestPromise02TwoGates",
			`table = e.Egress`, `table = e.Ingress`,
		},
		{
			"only the first entry of a list counts", "TestTablesEqualEvaluator",
			`if holds(cidrs, a) {`, `if holds(cidrs[:min(1, len(cidrs))], a) {`,
		},
		{
			"an address is in one list only", "TestTablesEqualEvaluator",
			`	return sortedSet(lists)`, `	return sortedSet(lists[:min(1, len(lists))])`,
		},
		{
			"a member is in its first group only", "TestTablesEqualEvaluator",
			`member.Groups...)`, `member.Groups[0])`,
		},
		{
			"what is not bound is as good as bound", "TestPromise01ClosedByDefault",
			`return nil, ReasonUnbound`, `return &Table{}, ReasonNone`,
		},
		{
			"verdicts forget their rule", "TestPromise09VerdictHasAReason",
			`return Verdict{Allow, ReasonRule, rule}`, `return Verdict{Allow, ReasonRule, rule &^ 1}`,
		},
		{
			"the shortest prefix decides", "TestTablesEqualEvaluator",
			`c.CIDR.Bits() > best.CIDR.Bits()`, `c.CIDR.Bits() < best.CIDR.Bits()`,
		},
		{
			"addresses are members in every domain", "TestTablesEqualEvaluator",
			`slices.Contains(member.Domains, domain) && (`, `(`,
		},
		{
			"members have no delegated prefixes in tables", "TestTablesEqualEvaluator",
			`(slices.Contains(member.Addresses, a) || holds(member.Prefixes, a))`, `slices.Contains(member.Addresses, a)`,
		},
	},
	rules + "/resolve.go": {
		{
			"peers are not joined", "TestResolveEqualsScan",
			`	for peer := range s.ActivePeers(id) {
		add(peer)
	}
`, ``,
		},
	},
	rules + "/scope.go": {
		{
			"only the first group of a member is known", "TestResolveEqualsScan",
			`groups = append(groups, id)`, `groups = append(groups[:0], id)`,
		},
		{
			"a rule that names another group brings no members", "TestScopeEqualsResolve",
			` || !sameNames(a, b)`, ``,
		},
		{
			"an interface that changes its groups brings no other", "TestScopeEqualsResolve",
			` || !slices.Equal(a.Groups, b.Groups)`, ``,
		},
		{
			"a group that observes brings no interface", "TestScopeEqualsResolve",
			` || !a.Observe.Equal(b.Observe)`, ``,
		},
		{
			"a list that changes its version stays as it was", "TestScopeEqualsResolve",
			`if id := vpc.PrefixListID(k.ID); c.lists[id] {`, `if id := vpc.PrefixListID(k.ID); false {`,
		},
	},
	rules + "/table.go": {
		{
			"a patch of members fits all members", "TestMemberPatch",
			`p != nil && sameMap(p.before, before) && sameMap(p.after, after)`, `p != nil`,
		},
	},
	rules + "/diff.go": {
		{
			"what is gone is not said", "TestAnyViewReachesAnyOther",
			`removed = append(removed, k)`, `_ = removed`,
		},
		{
			"a changed group makes no Delta", "TestDiffSeesEveryField",
			`a.ID == b.ID && slices.EqualFunc(a.Rules, b.Rules, sameRule)`, `a.ID == b.ID && len(a.Rules) == len(b.Rules)`,
		},
	},
	datapath + "/rulecounts.go": {
		{
			"a counter that is free has its line for ever", "TestRuleCountersFreed",
			`atomic.StoreUint64(&words[slices.Index(words[:], word|uint64(place))], 0)`, `_, _ = words, word`,
		},
		{
			"a rule takes the word of another one in its line", "TestRuleCountersOfOneLine",
			`at := slices.Index(words[:], 0)`, `at := 0`,
		},
		{
			"a counter is freed while a connection counts there", "TestRuleCountersFreed",
			`func(place uint32) { delete(retired, place) }`, `func(place uint32) {}`,
		},
		{
			"a counter keeps what it had counted for another rule", "TestRuleCounts",
			`if _, err := p.counts.BatchUpdate(places, make([]guestRuleCount, len(keys)*p.cpus), nil); err != nil {`, `if err := error(nil); err != nil {`,
		},
	},
	datapath + "/events.go": {
		{
			"a scan makes the list of drops grow", "TestRecentDropsBounded",
			`if len(e.samples) < MaxDropSamples {`, `if true {`,
		},
	},
	datapath + "/grace.go": {
		{
			"programs on the last CPU are not waited for", "TestGracePeriod",
			`for cpu := range possible {`, `for cpu := range possible - 1 {`,
		},
		{
			"programs on the first CPU are not waited for", "TestGracePeriod",
			`if offline[cpu] {`, `if offline[cpu] || cpu == 0 {`,
		},
		{
			"CPUs below those of a range are in it", "TestParseCPUs",
			`for cpu := first; cpu <= last`, `for cpu := min(0, first); cpu <= last`,
		},
	},
	datapath + "/apply.go": {
		{
			"only the first address is an ENI's own", "TestVerdicts",
			`			config.Flags |= guestEniFlagENI_OWN_OTHERS
`, ``,
		},
		{
			"the epoch is flipped before it is written", "TestPromise06NeverHalf",
			`	before := d.writes
	if err := d.build(t, m); err != nil {`, `	before := d.writes
	atomic.AddUint64(&d.state.Epoch, 1)
	err := d.build(t, m)
	atomic.AddUint64(&d.state.Epoch, ^uint64(0))
	if err != nil {`,
		},
		{
			"tables are written where packets look", "TestPromise06NeverHalf",
			`idle := &d.enis[slot].Config[1-d.epoch()]`, `idle := &d.enis[slot].Config[d.epoch()]`,
		},
		{
			"the programs do not find what is new", "TestPoolGrows",
			`return d.pool.publish()`, `return nil`,
		},
		{
			"the epoch is flipped without a change", "TestApplyAgain",
			`if d.writes == before {`, `if d.writes == before+1 {`,
		},
		{
			"what failed is not taken back", "TestApplyFails",
			`return errors.Join(err, d.reclaim())`, `return err`,
		},
		{
			"ingress and egress tables are swapped", "TestConnections/TCP",
			`config.Roots = uint64(in)<<32 | uint64(out)`, `config.Roots = uint64(out)<<32 | uint64(in)`,
		},
		{
			"the source is never checked", "TestPromise05Spoofing",
			`if eni.SourceDestCheck {`, `if false {`,
		},
		{
			"routers are the guest's own", "TestVerdicts",
			`want[addressKey(d.enis[slot].Number, router)] = guestRoleROLE_ROUTER`, `want[addressKey(d.enis[slot].Number, router)] = guestRoleROLE_OWN`,
		},
		{
			"addresses that are gone stay the guest's own", "TestApplyLeavesNothing",
			`if err := e.set(key, next, 0); err != nil {
				return err
			}
		}
	}
	for key, value := range want {`, `_ = key
		}
	}
	for key, value := range want {`,
		},
		{
			"members' sets in use are freed", "TestTableGrows",
			`sets[number] || d.members.used(number)`, `sets[number]`,
		},
		{
			"the idle epoch keeps the old tables", "TestApplyAgain",
			`			configs[1-epoch] = configs[epoch]
`, ``,
		},
	},
	datapath + "/connections.go": {
		{
			"a cut overlooks what is being written", "TestCutBeside",
			`			found = true // and`, `			// and`,
		},
		{
			"half-open connections are not cut", "TestCut",
			`err := d.visit(slot, remove)`, `err := d.visitOverflow(slot, remove)`,
		},
		{
			"connections beside the buckets are not cut", "TestFullBucket",
			`err := d.visit(slot, remove)`, `err := d.visitWays(slot, remove)`,
		},
		{
			"a cut looks once", "TestCutLooksAgain/from_before",
			`if err == nil && scan > 0 && !found {`, `if err == nil && (scan >= 0 || !found) {`,
		},
		{
			"what began since is cut", "TestCutLooksAgain/since",
			` || v.createdSince(start)`, ` || start == 0`,
		},
		{
			"connections are cut that were not chosen", "TestCut",
			` || !which(v.export())`, ``,
		},
		{
			"what was observed is listed after its end", "TestObserve",
			`v.ticks >= v.config.ObserveUntil`, `false`,
		},
		{
			"who began a connection that was cut is forgotten", "TestCutIsNotTurnedRound",
			`if !remember || v.key.Protocol`, `if true || v.key.Protocol`,
		},
	},
	datapath + "/private.go": {
		{
			"the maps of one interface are those of all", "TestPromise11Connections",
			`if *o.of, err = ebpf.NewMap(o.inner); err != nil {`,
			`*o.of, err = ebpf.NewMap(o.inner)
			for _, other := range d.private {
				for _, theirs := range d.outer(slot, other) {
					if theirs.all == o.all {
						*o.of, err = (*theirs.of).Clone()
					}
				}
			}
			if err != nil {`,
		},
	},
	datapath + "/timeouts.go": {
		{
			"an interface's own timeouts are nobody's business", "TestTimeoutsOfENI", `if v.own > 0 {`, `if v.own < 0 {`,
		},
	},
	datapath + "/flows.go": {
		{
			"what was taken off counts is not told", "TestConnectionCountsGoOn",
			`packets[d] += c.More[d] >> 32 << (63 - countedBytes)`, `_ = d`,
		},
		{
			"an upgrade forgets what is more than a word holds", "TestCountsKept",
			`			*tag |= moreIngress << d
`, ``,
		},
		{
			"what was cut is counted for ever", "TestFullBucket",
			`if flagsOf(v.tag&^to)&guestConnectionFlagCONNECTION_ESTABLISHED != 0 {`, `if false {`,
		},
		{
			"what has changed beside the buckets is taken for cut", "TestCutBeside",
			`if binary.NativeEndian.Uint64(frame) != was {`, `if false {`,
		},
	},
	datapath + "/sweep.go": {
		{
			"what is looked at while the datapath is closed is gone", "TestSweepBesideClose",
			`	if d.state == nil {
		return nil, fmt.Errorf("sweep`, `	if d.state == nil && false {
		return nil, fmt.Errorf("sweep`,
		},
		{
			"what lives is swept", "TestTimeouts/UDP_stream,_not_UDP",
			`uint64(age(v.connection.Seen, v.ticks)) > uint64(timeout(v.tag, v.connection, v.config.Timeouts))+margin`,
			`uint64(age(v.connection.Seen, v.ticks)) >= 0*margin`,
		},
		{
			"an established connection is swept at its timeout", "TestReclaimMargin/swept",
			`return v.isPast(uint64(guestLimitRECLAIM_MARGIN) * uint64(v.d.hz))`, `return v.isPast(0)`,
		},
		{
			"the agent knows other timeouts than the programs", "TestTimeouts/FIN",
			`case flags&flagFins != 0:`, `case false:`,
		},
		{
			"what was put into an empty table is not swept", "TestFullBucket",
			`		p.empty = false
`, ``,
		},
		{
			"what a dead agent left uncounted stays so", "TestRecount",
			`	if err == nil && !found.is(before) {`, `	if false {`,
		},
	},
	datapath + "/attach.go": {
		{
			"a high ifindex is sought in the array", "TestHighIndex",
			`	if uint32(ifindex) < d.objects.Slots.MaxEntries() {`, `	if true {`,
		},
		{
			"a detached device keeps its slot", "TestHighIndex",
			`	return d.objects.Slots.Put(uint32(ifindex), uint32(0))`, `	return nil`,
		},
		{
			"a device with the index of another has its connections", "TestSameIndex",
			`if known, err = d.isThere(&v); err == nil && !known {`, `if known, err = true, nil; err == nil && !known {`,
		},
		{
			"two devices may carry one ENI", "TestAttach",
			`if eni == "" || other.ENI != eni || other.Ifindex == ifindex {`, `if eni == "" || other.ENI != eni || other.ENI == eni {`,
		},
		{
			"a device opens only with the next change", "TestAttach",
			`if d.applied == nil || d.applied.ENIs[eni].ID == "" {`, `if true {`,
		},
		{
			"frames without an Ethernet header are read as if they had one", "TestAttachRefusesTun",
			`eni != "" && kind != "ether"`, `eni != "" && kind == ""`,
		},
		{
			"connections outlive the attachment of their ENI", "TestDetachCuts",
			`	if err := d.takePrivate(v.slot); err != nil {
		return err
	}
`, ``,
		},
	},
	datapath + "/hook.go": {
		{
			"a device with the name and index of another has its rights", "TestSameIndex",
			`return v.mode == 0 && l.Attrs().Name == v.Name, nil`, `return l.Attrs().Name == v.Name, nil`,
		},
		{
			"a link's program is not replaced but hung there anew", "TestNoGap/tcx",
			`		if linkedTo(found) == v.Ifindex {
			return found.Update(d.program(i))
		}
`, ``,
		},
		{
			"a filter is not replaced but removed and added", "TestNoGap/clsact",
			`	if err := netlink.FilterReplace(filter); err != nil {`, `	_ = netlink.FilterDel(filter)
	if err := netlink.FilterReplace(filter); err != nil {`,
		},
	},
	datapath + "/upgrade.go": {
		{
			"an upgrade that was broken off outlives the older version", "TestUpgradeBegunAgain",
			`if same != [3]bool{} && same != [3]bool{true, true, true} {`, `if same == [3]bool{} && false {`,
		},
		{
			"an upgrade puts its programs in force before it has tables", "TestUpgrade/4/tcx",
			`	slot, ok := d.upgrade.waiting[v.Ifindex]
	return ok && d.upgrade.devices[slot].ENI == v.ENI`, `	return false`,
		},
		{
			"an upgrade leaves connections behind", "TestUpgrade/4/tcx",
			`[]func() error{d.placeRules, d.carryConnections, d.replacePrograms, d.carryConnections, d.endUpgrade}`,
			`[]func() error{d.placeRules, d.replacePrograms, d.endUpgrade}`,
		},
		{
			"an upgrade replaces programs before it has their connections", "TestUpgrade/4/tcx",
			`[]func() error{d.placeRules, d.carryConnections, d.replacePrograms, d.carryConnections, d.endUpgrade}`,
			`[]func() error{d.placeRules, d.replacePrograms, d.carryConnections, d.endUpgrade}`,
		},
		{
			"a device that is closed during an upgrade keeps its older program", "TestUpgradeWaits/4/closed",
			`return ok && d.upgrade.devices[slot].ENI == v.ENI`, `return ok || d.upgrade.devices[slot].ENI == v.ENI`,
		},
		{
			"an upgrade begins to count rules anew", "TestUpgradeFlows/4/whole",
			`		if r.slot == slot {`, `		if false && r.slot == slot {`,
		},
		{
			"an upgrade forgets rules that live on in connections alone", "TestUpgradeFlows/4/whole",
			`d.waitsIn(r.slot) && d.rules.at[key] == 0`, `false && d.waitsIn(r.slot) && d.rules.at[key] == 0`,
		},
		{
			"an upgrade that is begun again takes counts back", "TestUpgradeFlows/4/dead_after_step_4",
			`	if *n >= least {`, `	if *n == least {`,
		},
	},
	datapath + "/layout3.go": {
		{
			"an upgrade leaves untracked and observed flows behind", "TestUpgradeFlows/3/whole",
			`			for _, name := range []string{"connections", "half_open"} {`, `			for _, name := range []string{"connections"} {`,
		},
		{
			"an upgrade counts the rules of connections at each other's places", "TestUpgradeFlows/4/whole",
			`first.Rule, places[first.Counter]`, `first.Rule, first.Counter`,
		},
	},
	datapath + "/layout4.go": {
		{
			"an upgrade leaves connections behind that found no room in their bucket", "TestUpgradeBuckets/one",
			`if first.isEstablished() != established {`, `if first.isEstablished() != established || established {`,
		},
		{
			"an upgrade takes the first buckets for all", "TestUpgradeBuckets/two_chunks",
			`left -= here`, `left = 0`,
		},
		{
			"an upgrade gives the room to half-open connections", "TestUpgradeBuckets/one",
			`[]bool{true, false}`, `[]bool{false, true}`,
		},
		{
			"an upgrade takes what a program has written by half", "TestUpgradeEntries",
			`if same == 3 {`, `if same == 2 {`,
		},
	},
	datapath + "/layout2.go": {
		{
			"an upgrade names another rule than the one that admitted a connection", "TestUpgrade/2/tcx",
			`connection.By[direction].Rule = c.Rule`, `connection.By[direction].Rule = c.Rule + 1`,
		},
	},
	datapath + "/datapath.go": {
		{
			"the filters go with the agent", "TestPromise07StaysUp",
			`return errors.Join(append(errs, d.objects.Close())...)`, `return errors.Join(append(errs, d.objects.Close(), Purge(d.pins))...)`,
		},
	},
	datapath + "/epoch.go": {
		{
			"both epochs get a new value", "TestReclaim",
			`v.Of[next] = value
`, `v.Of = [2]uint32{value, value}
`,
		},
		{
			"settling turns back to what was", "TestApplyAgain",
			`v.Of[1-epoch] = v.Of[epoch]`, `v.Of[epoch] = v.Of[1-epoch]`,
		},
	},
	datapath + "/names.go": {
		{
			"a number is drawn twice", "TestApplyLeavesNothing",
			`	n.last++
	return n.last, nil`, `	return max(n.last-1, 1), nil`,
		},
	},
	datapath + "/members.go": {
		{
			"members that are gone stay", "TestApplyLeavesNothing",
			`if kept < len(old) {`, `if false {`,
		},
		{
			"a member's new groups are not seen", "TestScenarios/changes/from_one_named_group_to_another",
			`sameSlice(a.Groups, b.Groups) && sameSlice(a.Addresses, b.Addresses)`, `sameSlice(a.Addresses, b.Addresses)`,
		},
		{
			"who is a member anywhere is one here", "TestDelegatedElsewhere",
			`if v := ms.domains[id]; v != nil {`, `for _, v := range ms.domains {`,
		},
		{
			"whoever finds no room is lost", "TestMembersOneByOne",
			`return newBuckets(ms.pool, &ms.uses, ipv6, append(b.entries(next), c.added[i:]...))`, `_ = i
			continue`,
		},
		{
			"a table that is made anew has only who is new", "TestMembersOneByOne",
			`append(b.entries(next), c.added[i:]...)`, `c.added[i:]`,
		},
		{
			"the programs are not told of a stash", "TestMembersFound",
			`&line.Words[4*kind+3], b.stash)`, `&line.Words[4*kind+3], 0)`,
		},
		{
			"a table that is given up keeps its lines", "TestMembersChange",
			`				other.release()
`, `				_ = other
`,
		},
	},
	datapath + "/buckets.go": {
		{
			"keys are put over others", "TestMembersMany",
			`if at := line - b.first; int(taken[at]) < b.ways() {`, `if at := line - b.first; int(taken[at]) <= b.ways() {`,
		},
		{
			"a key is put where packets look", "TestMembersChange",
			`if p := (place{line, way}); b.free(p) {`, `if p := (place{line, way}); b.number(p, 0) == 0 {`,
		},
		{
			"members are written where packets look", "TestMembersChange",
			`	b.write(at, next, number)
	b.dirty`, `	b.write(at, 1-next, number)
	b.dirty`,
		},
		{
			"settling turns members back to what was", "TestMembersChange",
			`b.write(at, 1-epoch, b.number(at, epoch))`, `b.write(at, epoch, b.number(at, 1-epoch))`,
		},
		{
			"an address may be two members'", "TestMembersTwice",
			`return fmt.Errorf("%s: %w", k.address(b.ipv6), errTwice)`, `return nil`,
		},
		{
			"of two members with an address the second is put into its other bucket", "TestMembersTwice",
			`e.line != homes[0] && b.holds(homes[0], e.key)`, `homes[0] == 0`,
		},
		{
			"who finds no room among many is lost", "TestMembersMany",
			`			if at, err = b.kick(&e); err != nil {
				return err
			}
`, `			continue
`,
		},
		{
			"who gives way to another is lost", "TestMembersAdversary",
			`	b.put(to, b.key(from), next, b.number(from, next))
`, ``,
		},
	},
	datapath + "/tables.go": {
		{
			"tables of equal CIDRs are one, whatever their groups", "TestApplyFails",
			`	for _, group := range slices.Sorted(maps.Keys(t.Peers)) {
		text = fmt.Appendf(text, "%s\n", group)
		list(t.Peers[group])
	}
`, ``,
		},
	},
	datapath + "/portsets.go": {
		{
			"a port set in use is freed", "TestPortSetIsShared",
			`if leaf.Uses--; leaf.Uses > 0 {`, `if leaf.Uses--; leaf.Uses > 1<<30 {`,
		},
		{
			"a port set hides behind one that is gone", "TestPortSetsComeAndGo",
			`		if chosen := l.at(l.slots[at].hash); l.from(chosen, at) >= l.from(free, at) {`, `		if false {`,
		},
		{
			"a port set is for everybody by chance", "TestOracle",
			`if len(everyone) > 0 && everyone[v.Rule] {`, `if true {`,
		},
	},
	datapath + "/sets.go": {
		{
			"the number of a set is used again too early", "TestTableGrows",
			`	number := uint32(len(s.of))
`, `	number := uint32(max(1, len(s.of)-1))
`,
		},
	},
	datapath + "/lists.go": {
		{
			"an address is in the last list alone that holds it", "TestLists",
			`all := append(slices.Clone(sets.of[at.above].lists), ids[e.list])`, `all := append([]vpc.PrefixListID(nil), ids[e.list])`,
		},
		{
			"lists are written where packets look", "TestListsNeverHalf",
			`d.state.Lists[1-d.epoch()] = next.trees`, `d.state.Lists[d.epoch()] = next.trees`,
		},
	},
	datapath + "/pool.go": {
		{
			"lines are given that are in use", "TestPool",
			`		s.first += count
		s.count -= count
`, `		s.first += count - count/2
		s.count -= count - count/2
`,
		},
		{
			"the lines of the agent before are ours", "TestPoolNext",
			`if run++; p.chunks[number] != nil || p.former[uint32(number)] {`, `if run++; p.chunks[number] != nil {`,
		},
	},
	datapath + "/tree.go": {
		{
			"a CIDR that ends with a half of an address ends before", "TestTables",
			`if vary > 64 {`, `if vary > 65 {`,
		},
		{
			"what is before a CIDR has what the CIDR has", "TestTables",
			`if uint64(number) > next {`, `if false {`,
		},
	},
}
