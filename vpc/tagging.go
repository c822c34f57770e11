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
	prefix := id[:max(strings.LastIndex(id, "-"), 0)]
	var old Tags
	var put func(Tags)
	switch taggable[prefix] {
	case "vpc":
		v, err := d.findVPC(VPCID(id))
		if err != nil {
			return err
		}
		old, put = v.Tags, func(t Tags) { c := *v; c.Tags = t; d.put(&c) }
	case "subnet":
		n, err := d.findSubnet(SubnetID(id))
		if err != nil {
			return err
		}
		old, put = n.Tags, func(t Tags) { c := *n; c.Tags = t; d.put(&c) }
	case "security-group":
		g, err := d.findGroup(GroupID(id))
		if err != nil {
			return err
		}
		old, put = g.Tags, func(t Tags) { c := *g; c.Tags = t; d.put(&c) }
	case "security-group-rule":
		if _, err := ParseRuleID(id); err != nil {
			return err
		}
		g := d.GroupOfRule(RuleID(id))
		if g == nil {
			return errNoRule(RuleID(id))
		}
		n := slices.IndexFunc(g.Rules, func(r Rule) bool { return r.ID == RuleID(id) })
		old, put = g.Rules[n].Tags, func(t Tags) {
			c := *g
			c.Rules = slices.Clone(g.Rules)
			c.Rules[n].Tags = t
			d.put(&c)
		}
	case "network-interface":
		e, err := d.findInterface(InterfaceID(id))
		if err != nil {
			return err
		}
		old, put = e.Tags, func(t Tags) { c := *e; c.Tags = t; d.put(&c) }
	case "instance":
		i, err := d.findInstance(InstanceID(id))
		if err != nil {
			return err
		}
		old, put = i.Tags, func(t Tags) { c := *i; c.Tags = t; d.put(&c) }
	case "prefix-list":
		l, err := d.findPrefixList(PrefixListID(id))
		if err != nil {
			return err
		}
		old, put = l.Tags, func(t Tags) { c := *l; c.Tags = t; d.put(&c) }
	case "vpc-peering-connection":
		p, err := d.findPeering(PeeringID(id))
		if err != nil {
			return err
		}
		old, put = p.Tags, func(t Tags) { c := *p; c.Tags = t; d.put(&c) }
	case "network-insights-path":
		p, err := d.findInsightsPath(InsightsPathID(id))
		if err != nil {
			return err
		}
		old, put = p.Tags, func(t Tags) { c := *p; c.Tags = t; d.put(&c) }
	case "network-insights-analysis":
		a, err := d.findInsightsAnalysis(InsightsAnalysisID(id))
		if err != nil {
			return err
		}
		old, put = a.Tags, func(t Tags) { c := *a; c.Tags = t; d.put(&c) }
	default:
		return Errorf(CodeInvalidID, "The ID '%s' is not valid", id)
	}
	tags, err := edit(old)
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		tags = nil
	}
	if !maps.Equal(tags, old) {
		put(tags)
	}
	return nil
}

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
	for v := range s.VPCs() {
		add(string(v.ID), "vpc", v.Tags)
	}
	for n := range s.Subnets() {
		add(string(n.ID), "subnet", n.Tags)
	}
	for g := range s.SecurityGroups() {
		add(string(g.ID), "security-group", g.Tags)
		for _, r := range g.Rules {
			add(string(r.ID), "security-group-rule", r.Tags)
		}
	}
	for e := range s.NetworkInterfaces() {
		add(string(e.ID), "network-interface", e.Tags)
	}
	for i := range s.Instances() {
		add(string(i.ID), "instance", i.Tags)
	}
	for l := range s.PrefixLists() {
		add(string(l.ID), "prefix-list", l.Tags)
	}
	for p := range s.Peerings() {
		add(string(p.ID), "vpc-peering-connection", p.Tags)
	}
	for p := range s.InsightsPaths() {
		add(string(p.ID), "network-insights-path", p.Tags)
	}
	for a := range s.InsightsAnalyses() {
		add(string(a.ID), "network-insights-analysis", a.Tags)
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
