package vpc

import "iter"

// BlockerKind says what stands in the way of deleting a group.
type BlockerKind string

// The kinds, in the order in which DeleteSecurityGroup looks for them.
const (
	BlockerDefault     BlockerKind = "default-group"       // it comes and goes with its VPC
	BlockerInterface   BlockerKind = "network-interface"   // that carries it
	BlockerRule        BlockerKind = "security-group-rule" // of another group, that names it
	BlockerAssociation BlockerKind = "vpc-association"
)

// blocker is one thing in the way of deleting a group; the id is of an interface, a rule or a VPC, or "".
type blocker struct {
	kind BlockerKind
	id   string
}

// blockers yields what stands in the way of deleting a group, one kind after the other.
func (s *State) blockers(g *SecurityGroup) iter.Seq[blocker] {
	return func(yield func(blocker) bool) {
		if g.Name == defaultGroupName && !yield(blocker{kind: BlockerDefault}) {
			return
		}
		for e := range s.InterfacesOfGroup(g.ID) {
			if !yield(blocker{BlockerInterface, string(e.ID)}) {
				return
			}
		}
		for r := range s.rulesNaming(g) {
			if s.blocksDelete(g, r) && !yield(blocker{BlockerRule, string(r.Rule.ID)}) {
				return
			}
		}
		for _, a := range g.Associations {
			if a.Ended.IsZero() && !yield(blocker{BlockerAssociation, string(a.VPC)}) {
				return
			}
		}
	}
}

// refuseDelete is what DeleteSecurityGroup answers to a blocker.
func (g *SecurityGroup) refuseDelete(kind BlockerKind) *Error {
	if kind == BlockerDefault {
		return Errorf(CodeCannotDelete, `the specified group: "%s" name: "%s" cannot be deleted by a user`, g.ID, g.Name)
	}
	return errDependentObject(g.ID)
}

// rulesNaming yields the rules that name a group, its own too, in order of their groups' ids.
func (s *State) rulesNaming(g *SecurityGroup) iter.Seq[GroupRule] {
	return func(yield func(GroupRule) bool) {
		for other := range s.GroupsReferencing(g.ID) {
			for _, r := range other.Rules {
				if r.Peer.Group == g.ID && !yield(GroupRule{other, r}) {
					return
				}
			}
		}
	}
}

// blocksDelete reports whether a rule that names g keeps it: one of another group that is carried in the
// same VPC. Those of peered VPCs become stale instead.
func (s *State) blocksDelete(g *SecurityGroup, r GroupRule) bool {
	return r.Group.ID != g.ID && shareVPC(r.Group, g)
}

// usesPage is of how many groups the uses are listed at once, if neither groups nor a number are named: each has lists
// of its own.
const usesPage = 100

// maxUses is how many uses of each kind are listed of one group, if nothing else is asked for.
const maxUses = 1000

// UsesQuery selects groups: those with the ids, or all.
type UsesQuery struct {
	Groups []GroupID
	Most   *int32 // uses of each kind to list of one group, 0 to 1000; nil: 1000
	Page   Page
}

// GroupUses is what uses a group. Lists are of the first ones alone, counts of all.
type GroupUses struct {
	Group          *SecurityGroup
	Interfaces     []*NetworkInterface // that carry it, in order of their ids
	InterfaceCount int
	Rules          []RuleUse // that name it, its own too
	RuleCount      int
	Associations   []AssociatedVPC // those that ended a short while ago too
	Blockers       []Blocker       // of a delete; none: it can be deleted
}

// RuleUse is a rule that names a group.
type RuleUse struct {
	GroupRule
	Blocks bool // deleting the group
	Stale  bool // it cannot reach the group any more
}

// Blocker is all of one kind that stands in the way of deleting a group.
type Blocker struct {
	Kind    BlockerKind
	IDs     []string // of interfaces, rules or VPCs: the first ones
	Count   int
	Refusal *Error // what DeleteSecurityGroup answers if there is no blocker before this one
}

// SecurityGroupUses returns what uses the groups, in order of their creation, and the token of the next
// page. An unknown id fails the whole call.
func (s *State) SecurityGroupUses(env Env, q UsesQuery) ([]GroupUses, string, error) {
	most := maxUses
	if q.Most != nil {
		most = int(*q.Most)
	}
	if len(q.Groups) == 0 && q.Page.Max == nil {
		q.Page.Max = new(int32(usesPage))
	}
	groups, err := asked(q.Groups, s.SecurityGroups(), s.findGroup, func(*SecurityGroup) bool { return true })
	if err != nil {
		return nil, "", err
	}
	key := func(g *SecurityGroup) string { return createdKey(g.Created, g.ID) }
	shown, next, err := paginate(groups, "security-group-uses", key, q.Page)
	if err != nil {
		return nil, "", err
	}
	out := make([]GroupUses, len(shown))
	for i, g := range shown {
		out[i] = s.usesOf(env, g, most)
	}
	return out, next, nil
}

func (s *State) usesOf(env Env, g *SecurityGroup, most int) GroupUses {
	out := GroupUses{Group: g}
	for e := range s.InterfacesOfGroup(g.ID) {
		if out.InterfaceCount++; out.InterfaceCount <= most {
			out.Interfaces = append(out.Interfaces, e)
		}
	}
	for r := range s.rulesNaming(g) {
		if out.RuleCount++; out.RuleCount <= most {
			out.Rules = append(out.Rules, RuleUse{r, s.blocksDelete(g, r), s.stale(r.Group, r.Rule)})
		}
	}
	for _, a := range g.Associations {
		if !a.forgotten(env.Now) {
			out.Associations = append(out.Associations, AssociatedVPC{g, a})
		}
	}
	for b := range s.blockers(g) {
		if n := len(out.Blockers); n == 0 || out.Blockers[n-1].Kind != b.kind {
			out.Blockers = append(out.Blockers, Blocker{Kind: b.kind, Refusal: g.refuseDelete(b.kind)})
		}
		of := &out.Blockers[len(out.Blockers)-1]
		if of.Count++; of.Count <= most && b.id != "" {
			of.IDs = append(of.IDs, b.id)
		}
	}
	return out
}
