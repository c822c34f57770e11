package vpc

import (
	"net/netip"
	"slices"
	"strings"
)

const defaultGroupName = "default" // of the group that every VPC has

// GroupRef names a group in a request: by its id, or, in the default VPC only, by its name. With both
// the id counts.
type GroupRef struct {
	ID   GroupID
	Name string
}

// NewSecurityGroup is what CreateSecurityGroup is told.
type NewSecurityGroup struct {
	Name              string
	Description       string
	VPC               VPCID // "": the default VPC
	TagSpecifications []TagSpecification
}

// CreateSecurityGroup makes a group without ingress rules and with EC2's default egress rules.
func (s *State) CreateSecurityGroup(env Env, in NewSecurityGroup) (*SecurityGroup, Change, error) {
	parts := s.checkNewGroup(in)
	if len(parts.problems) > 0 {
		return nil, Change{}, parts.problems[0].Err
	}
	d := s.draft()
	g, err := d.newGroup(env, parts.vpc, parts.name, in.Description, parts.tags)
	if err != nil {
		return nil, Change{}, err
	}
	return g, d.change(), nil
}

// newGroupParts is what a new group is made of, or all that is wrong with it.
type newGroupParts struct {
	name     string
	vpc      *VPC // nil: there is no such
	tags     Tags
	problems []RuleProblem
}

func (s *State) checkNewGroup(in NewSecurityGroup) (out newGroupParts) {
	problem := func(member string, err error) {
		if err != nil {
			out.problems = append(out.problems, RuleProblem{Member: member, Err: err})
		}
	}
	tags, err := specifiedTags(in.TagSpecifications, "security-group")
	problem("TagSpecification", err)
	out.tags = tags["security-group"]
	out.name, err = validGroupName(in.Name)
	problem("GroupName", err)
	problem("Description", validGroupText("GroupDescription", "description", in.Description))
	out.vpc, err = s.vpcOrDefault(in.VPC)
	problem("VpcId", err)
	if out.vpc != nil && out.name != "" && s.GroupNamed(out.vpc.ID, out.name) != nil {
		problem("GroupName", Errorf(CodeInvalidGroupDuplicate,
			"The security group '%s' already exists for VPC '%s'", out.name, out.vpc.ID))
	}
	if s.Count(KindSecurityGroup) >= s.Quota(SecurityGroupsPerRegion) {
		problem("", errTooManyGroups())
	}
	return out
}

func errTooManyGroups() *Error {
	return Errorf(CodeSecurityGroupLimitExceeded, "The maximum number of security groups has been reached.")
}

// newGroup puts a group with the default egress rules: everything, in the families that the VPC has.
func (d *draft) newGroup(env Env, v *VPC, name, description string, tags Tags) (*SecurityGroup, error) {
	g := d.bareGroup(env, v, name, description, tags)
	rules := defaultRules(v)
	if name == defaultGroupName {
		rules = append(rules, Rule{Protocol: AllProtocols, From: -1, To: -1, Peer: Peer{Group: g.ID}})
	}
	if err := d.numberRules(env, rules); err != nil {
		return nil, err
	}
	g.Rules = rules
	d.put(g)
	return g, nil
}

// bareGroup returns a group without rules.
func (d *draft) bareGroup(env Env, v *VPC, name, description string, tags Tags) *SecurityGroup {
	return &SecurityGroup{
		ID:          GroupID(env.ID("sg")),
		VPC:         v.ID,
		Created:     env.Now,
		Name:        name,
		Description: description,
		Tags:        tags,
	}
}

// defaultRules are the egress rules of a new group.
func defaultRules(v *VPC) []Rule {
	rules := []Rule{{Egress: true, Protocol: AllProtocols, From: -1, To: -1, Peer: Peer{CIDR: anyIPv4}}}
	if len(v.IPv6CIDRs) > 0 {
		rules = append(rules, Rule{Egress: true, Protocol: AllProtocols, From: -1, To: -1, Peer: Peer{CIDR: anyIPv6}})
	}
	return rules
}

// addIPv6Egress gives the groups of a VPC that just got an IPv6 block the ::/0 egress rule that new
// ones get, but for those whose egress rules somebody changed and those that have it from an earlier
// block. Source: EC2 user guide, "Default outbound rules".
func (d *draft) addIPv6Egress(env Env, id VPCID) error {
	rule := Rule{Egress: true, Protocol: AllProtocols, From: -1, To: -1, Peer: Peer{CIDR: anyIPv6}}
	var groups []*SecurityGroup
	for g := range d.GroupsOfVPC(id) {
		has := slices.ContainsFunc(g.Rules, func(r Rule) bool { return r.identity() == rule.identity() })
		if !g.EgressModified && !has {
			groups = append(groups, g)
		}
	}
	rules := slices.Repeat([]Rule{rule}, len(groups))
	if err := d.numberRules(env, rules); err != nil {
		return err
	}
	puts := make([]Object, len(groups))
	for i, g := range groups {
		c := *g
		c.Rules = slices.Concat(g.Rules, rules[i:i+1])
		puts[i] = &c
	}
	d.put(puts...)
	return nil
}

var (
	anyIPv4 = netip.MustParsePrefix("0.0.0.0/0")
	anyIPv6 = netip.MustParsePrefix("::/0")
)

// addDefaultGroup puts the group that comes with a VPC and goes with it.
func (d *draft) addDefaultGroup(env Env, v *VPC) error {
	if d.Count(KindSecurityGroup) >= d.Quota(SecurityGroupsPerRegion) {
		return errTooManyGroups()
	}
	_, err := d.newGroup(env, v, defaultGroupName, "default VPC security group", nil)
	return err
}

// DefaultGroup returns the group that interfaces get which ask for none.
func (s *State) DefaultGroup(v VPCID) *SecurityGroup { return s.GroupNamed(v, defaultGroupName) }

// DeleteSecurityGroup deletes a group with its rules, if no interface carries it, it is associated with
// no further VPC, and no rule of another group names it that is carried in the same VPC. The rules of
// peered VPCs that name it become stale.
func (s *State) DeleteSecurityGroup(ref GroupRef) (*SecurityGroup, Change, error) {
	g, err := s.findGroupByRef(ref)
	if err != nil {
		return nil, Change{}, err
	}
	for b := range s.blockers(g) {
		return nil, Change{}, g.refuseDelete(b.kind)
	}
	d := s.draft()
	d.delete(g.Key())
	return g, d.change(), nil
}

func errDependentObject(id GroupID) *Error {
	return Errorf(CodeDependencyViolation, "resource %s has a dependent object", id)
}

// SecurityGroupARN returns the ARN of a group.
func (s *State) SecurityGroupARN(g *SecurityGroup) string {
	return s.arn("security-group", string(g.ID))
}

// findGroup returns the group with that id, or InvalidGroupId.Malformed or InvalidGroup.NotFound.
func (s *State) findGroup(id GroupID) (*SecurityGroup, error) {
	if _, err := ParseGroupID(string(id)); err != nil {
		return nil, err
	}
	if g := s.SecurityGroup(id); g != nil {
		return g, nil
	}
	return nil, errNoGroup(string(id))
}

func errNoGroup(id string) *Error {
	return Errorf(CodeInvalidGroupNotFound, "The security group '%s' does not exist", id)
}

// findGroupNamed finds a group of the default VPC.
func (s *State) findGroupNamed(name string) (*SecurityGroup, error) {
	v, err := s.vpcOrDefault("")
	if err != nil {
		return nil, err
	}
	if g := s.GroupNamed(v.ID, name); g != nil {
		return g, nil
	}
	return nil, Errorf(CodeInvalidGroupNotFound,
		"The security group '%s' does not exist in default VPC '%s'", name, v.ID)
}

func (s *State) findGroupByRef(ref GroupRef) (*SecurityGroup, error) {
	switch {
	case ref.ID != "" && ref.Name != "":
		if _, err := s.vpcOrDefault(""); err != nil { // a name needs it, though it is not looked at
			return nil, err
		}
		return s.findGroup(ref.ID)
	case ref.ID != "":
		return s.findGroup(ref.ID)
	case ref.Name != "":
		return s.findGroupNamed(ref.Name)
	default:
		return nil, Errorf(CodeMissingParameter, "The request must contain the parameter groupName or groupId")
	}
}

// vpcOrDefault finds a VPC by its id; "" is the default VPC.
func (s *State) vpcOrDefault(id VPCID) (*VPC, error) {
	if id == "" {
		if i := s.Installation(); i != nil && i.DefaultVPC != "" {
			if v := s.VPC(i.DefaultVPC); v != nil {
				return v, nil
			}
		}
		return nil, Errorf(CodeVPCIdNotSpecified,
			"No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.")
	}
	if _, err := ParseVPCID(string(id)); err != nil {
		return nil, err
	}
	if v := s.VPC(id); v != nil {
		return v, nil
	}
	return nil, Errorf(CodeInvalidVpcIDNotFound, "The vpc ID '%s' does not exist", id)
}

// What names and descriptions of groups and rules are made of. Source: EC2 API reference,
// CreateSecurityGroup and IpRange; the server's own text has two spaces after the colon.
const (
	maxText      = 255
	textSymbols  = ". _-:/()#,@[]+=&;{}!$*"
	textAllowed  = "a-zA-Z0-9" + textSymbols
	textAdvice   = "strings less than 256 characters from the following set:  " + textAllowed
	groupIDStart = "sg-"
)

func validText(s string) bool {
	return len(s) <= maxText && !strings.ContainsFunc(s, func(c rune) bool {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		return !alnum && !strings.ContainsRune(textSymbols, c)
	})
}

// validGroupText checks a name or description; what is "name" or "description".
func validGroupText(parameter, what, s string) error {
	if strings.ContainsFunc(s, func(c rune) bool { return c > 127 }) {
		return Errorf(CodeInvalidParameterValue,
			"Value (%s) for parameter %s is invalid. Character sets beyond ASCII are not supported.", s, parameter)
	}
	if !validText(s) || s == "" {
		return Errorf(CodeInvalidParameterValue,
			"Invalid security group %s. Valid %ss are %s", what, what, textAdvice)
	}
	return nil
}

// validGroupName returns the name as it is kept: without trailing spaces.
func validGroupName(s string) (string, error) {
	name := strings.TrimRight(s, " ")
	if err := validGroupText("GroupName", "name", name); err != nil {
		return "", err
	}
	if len(name) >= len(groupIDStart) && strings.EqualFold(name[:len(groupIDStart)], groupIDStart) {
		return "", Errorf(CodeInvalidParameterValue,
			"Value (%s) for parameter GroupName is invalid. Group names may not be in the format sg-*.", s)
	}
	if strings.EqualFold(name, defaultGroupName) {
		return "", Errorf(CodeInvalidParameterValue, "Cannot use reserved security group name: default")
	}
	return name, nil
}

// GroupQuery selects groups: those with the ids and names, or all, that pass the filters.
type GroupQuery struct {
	IDs     []GroupID
	Names   []string // of groups in the default VPC
	Filters []Filter
	Page    Page
}

// DescribeSecurityGroups returns the groups in order of creation and the token of the next page. An
// unknown id or name fails the whole call.
func (s *State) DescribeSecurityGroups(q GroupQuery) ([]*SecurityGroup, string, error) {
	where, err := groupFields.Where(s, q.Filters, func(g *SecurityGroup) Tags { return g.Tags })
	if err != nil {
		return nil, "", err
	}
	var groups []*SecurityGroup
	for _, id := range q.IDs {
		g, err := s.findGroup(id)
		if err != nil {
			return nil, "", err
		}
		groups = append(groups, g)
	}
	for _, name := range q.Names {
		g, err := s.findGroupNamed(name)
		if err != nil {
			return nil, "", err
		}
		groups = append(groups, g)
	}
	if len(q.IDs) == 0 && len(q.Names) == 0 {
		groups = slices.Collect(s.SecurityGroups())
	}
	key := func(g *SecurityGroup) string { return createdKey(g.Created, g.ID) }
	chosen := map[GroupID]bool{}
	groups = slices.DeleteFunc(groups, func(g *SecurityGroup) bool {
		drop := chosen[g.ID] || !where(g)
		chosen[g.ID] = true
		return drop
	})
	return paginate(groups, "security-group", key, q.Page)
}

// groupFields are the filters of DescribeSecurityGroups. Several filters on rules may each be met by
// another rule of the group.
var groupFields = func() Fields[*SecurityGroup] {
	f := Fields[*SecurityGroup]{
		"description": func(_ *State, g *SecurityGroup) []string { return []string{g.Description} },
		"group-id":    func(_ *State, g *SecurityGroup) []string { return []string{string(g.ID)} },
		"group-name":  func(_ *State, g *SecurityGroup) []string { return []string{g.Name} },
		"owner-id":    func(s *State, _ *SecurityGroup) []string { return []string{string(s.Installation().Account)} },
		"vpc-id":      func(_ *State, g *SecurityGroup) []string { return []string{string(g.VPC)} },
	}
	for prefix, egress := range map[string]bool{"ip-permission.": false, "egress.ip-permission.": true} {
		for name, value := range ruleFields {
			f[prefix+name] = func(s *State, g *SecurityGroup) []string {
				var values []string
				for _, r := range g.Rules {
					if v := value(s, r); r.Egress == egress && v != "" {
						values = append(values, v)
					}
				}
				return values
			}
		}
	}
	return f
}()
