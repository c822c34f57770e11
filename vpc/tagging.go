package vpc

import (
	"maps"
	"slices"
	"strings"
)

// taggable is the type of a resource as tags know it, by the prefix of its id.
var taggable = map[string]string{
	"vpc":    "vpc",
	"subnet": "subnet",
	"sg":     "security-group",
	"sgr":    "security-group-rule",
	"eni":    "network-interface",
	"i":      "instance",
	"pl":     "prefix-list",
	"pcx":    "vpc-peering-connection",
	"nip":    "network-insights-path",
	"nia":    "network-insights-analysis",
}

// maxTaggedResources is how many resources one call may name.
const maxTaggedResources = 1000

// CreateTags sets tags on resources: a key that a resource has already gets the new value. A tag
// without a value gets the empty one. All resources or none.
func (s *State) CreateTags(resources []string, list []Tag) (Change, error) {
	empty := ""
	for i, t := range list {
		if t.Value == nil {
			list = slices.Clone(list)
			list[i].Value = &empty
		}
	}
	if len(list) == 0 {
		return Change{}, errMissing("tagSet")
	}
	tags, err := newTags(list)
	if err != nil {
		return Change{}, err
	}
	return s.retag(resources, func(old Tags) (Tags, error) {
		out := Tags{}
		maps.Copy(out, old)
		maps.Copy(out, tags)
		if len(out) > maxTags {
			return nil, errTooManyTags()
		}
		return out, nil
	})
}

// DeleteTags removes tags from resources: of each key whatever its value, or, if a value is given,
// only with that value. No tags at all: all of them. A key that a resource has not is no error.
func (s *State) DeleteTags(resources []string, list []Tag) (Change, error) {
	for _, t := range list {
		if err := validTagKey(t.Key); err != nil {
			return Change{}, err
		}
	}
	return s.retag(resources, func(old Tags) (Tags, error) {
		out := Tags{}
		for key, value := range old {
			gone := len(list) == 0 || slices.ContainsFunc(list, func(t Tag) bool {
				return t.Key == key && (t.Value == nil || *t.Value == value)
			})
			if !gone {
				out[key] = value
			}
		}
		return out, nil
	})
}

// retag gives each of the resources the tags that edit makes of its present ones.
func (s *State) retag(resources []string, edit func(Tags) (Tags, error)) (Change, error) {
	if len(resources) == 0 {
		return Change{}, errMissing("resourceIdSet")
	}
	if len(resources) > maxTaggedResources {
		return Change{}, Errorf(CodeInvalidParameterValue,
			"The maximum number of resources of a request is %d.", maxTaggedResources)
	}
	d := s.draft()
	for _, id := range resources {
		if err := d.retagOne(id, edit); err != nil {
			return Change{}, err
		}
	}
	return d.change(), nil
}

func (d *draft) retagOne(id string, edit func(Tags) (Tags, error)) error {
	if strings.HasPrefix(id, "sgr-") {
		return d.retagRule(RuleID(id), edit)
	}
	o, err := d.findTagged(id)
	if err != nil {
		return err
	}
	tags, changed, err := edited(o.tags(), edit)
	if changed {
		d.put(o.withTags(tags))
	}
	return err
}

// retagRule is retagOne for a rule, which is part of its group.
func (d *draft) retagRule(id RuleID, edit func(Tags) (Tags, error)) error {
	if _, err := ParseRuleID(string(id)); err != nil {
		return err
	}
	g := d.GroupOfRule(id)
	if g == nil {
		return errNoRule(id)
	}
	n := slices.IndexFunc(g.Rules, func(r Rule) bool { return r.ID == id })
	tags, changed, err := edited(g.Rules[n].Tags, edit)
	if changed {
		c := *g
		c.Rules = slices.Clone(g.Rules)
		c.Rules[n].Tags = tags
		d.put(&c)
	}
	return err
}

// edited returns what edit makes of tags, nil if none are left, and whether that is something else.
func edited(old Tags, edit func(Tags) (Tags, error)) (tags Tags, changed bool, err error) {
	tags, err = edit(old)
	if len(tags) == 0 {
		tags = nil
	}
	return tags, err == nil && !maps.Equal(tags, old), err
}

// tagged is an object with tags of its own. Its kind is what EC2 calls its type of resource.
type tagged interface {
	Object
	tags() Tags
	withTags(Tags) Object // a copy
}

// findTagged returns the resource with that id, or what EC2 says of an id without one.
func (s *State) findTagged(id string) (tagged, error) {
	switch Kind(taggable[id[:max(strings.LastIndex(id, "-"), 0)]]) {
	case KindVPC:
		return s.findVPC(VPCID(id))
	case KindSubnet:
		return s.findSubnet(SubnetID(id))
	case KindSecurityGroup:
		return s.findGroup(GroupID(id))
	case KindInterface:
		return s.findInterface(InterfaceID(id))
	case KindInstance:
		return s.findInstance(InstanceID(id))
	case KindPrefixList:
		return s.findPrefixList(PrefixListID(id))
	case KindPeering:
		return s.findPeering(PeeringID(id))
	case KindInsightsPath:
		return s.findInsightsPath(InsightsPathID(id))
	case KindInsightsAnalysis:
		return s.findInsightsAnalysis(InsightsAnalysisID(id))
	default:
		return nil, Errorf(CodeInvalidID, "The ID '%s' is not valid", id)
	}
}

func (v *VPC) tags() Tags               { return v.Tags }
func (n *Subnet) tags() Tags            { return n.Tags }
func (g *SecurityGroup) tags() Tags     { return g.Tags }
func (e *NetworkInterface) tags() Tags  { return e.Tags }
func (i *Instance) tags() Tags          { return i.Tags }
func (l *PrefixList) tags() Tags        { return l.Tags }
func (p *PeeringConnection) tags() Tags { return p.Tags }
func (p *InsightsPath) tags() Tags      { return p.Tags }
func (a *InsightsAnalysis) tags() Tags  { return a.Tags }

func (v *VPC) withTags(t Tags) Object               { c := *v; c.Tags = t; return &c }
func (n *Subnet) withTags(t Tags) Object            { c := *n; c.Tags = t; return &c }
func (g *SecurityGroup) withTags(t Tags) Object     { c := *g; c.Tags = t; return &c }
func (e *NetworkInterface) withTags(t Tags) Object  { c := *e; c.Tags = t; return &c }
func (i *Instance) withTags(t Tags) Object          { c := *i; c.Tags = t; return &c }
func (l *PrefixList) withTags(t Tags) Object        { c := *l; c.Tags = t; return &c }
func (p *PeeringConnection) withTags(t Tags) Object { c := *p; c.Tags = t; return &c }
func (p *InsightsPath) withTags(t Tags) Object      { c := *p; c.Tags = t; return &c }
func (a *InsightsAnalysis) withTags(t Tags) Object  { c := *a; c.Tags = t; return &c }

// TagDescription is one tag of one resource.
type TagDescription struct {
	Resource string // its id
	Type     string // security-group, …
	Key      string
	Value    string
}

// TagQuery selects tags: all that pass the filters.
type TagQuery struct {
	Filters []Filter
	Page    Page
}

// DescribeTags returns the tags in order of resource and key, and the token of the next page.
func (s *State) DescribeTags(in TagQuery) ([]TagDescription, string, error) {
	where, err := tagFields.Where(s, in.Filters, func(t TagDescription) Tags { return Tags{t.Key: t.Value} })
	if err != nil {
		return nil, "", err
	}
	var out []TagDescription
	add := func(id, kind string, tags Tags) {
		for k, v := range tags {
			if t := (TagDescription{id, kind, k, v}); where(t) {
				out = append(out, t)
			}
		}
	}
	for o := range s.Objects() {
		if t, ok := o.(tagged); ok {
			add(o.Key().ID, string(o.Key().Kind), t.tags())
		}
		if g, ok := o.(*SecurityGroup); ok {
			for _, r := range g.Rules {
				add(string(r.ID), "security-group-rule", r.Tags)
			}
		}
	}
	return paginate(out, "tag", func(t TagDescription) string { return t.Resource + " " + t.Key }, in.Page)
}

// tagFields are the filters of DescribeTags; tag-key, which the others have, is called key here.
var tagFields = Fields[TagDescription]{
	"key":           func(_ *State, t TagDescription) []string { return []string{t.Key} },
	"resource-id":   func(_ *State, t TagDescription) []string { return []string{t.Resource} },
	"resource-type": func(_ *State, t TagDescription) []string { return []string{t.Type} },
	"value":         func(_ *State, t TagDescription) []string { return []string{t.Value} },
}
