package vpc

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/btree"
)

// Kind names a type of object, in the store's keys too: never rename one.
type Kind string

// The kinds of object.
const (
	KindInstallation      Kind = "installation"
	KindVPC               Kind = "vpc"
	KindSubnet            Kind = "subnet"
	KindSecurityGroup     Kind = "security-group"
	KindInterface         Kind = "network-interface"
	KindInstance          Kind = "instance"
	KindHost              Kind = "host"
	KindAccessKey         Kind = "access-key"
	KindPrefixList        Kind = "prefix-list"
	KindPrefixListVersion Kind = "prefix-list-version"
	KindPeering           Kind = "vpc-peering-connection"
	KindInsightsPath      Kind = "network-insights-path"
	KindInsightsAnalysis  Kind = "network-insights-analysis"
	KindUser              Kind = "user"
	KindConsoleSession    Kind = "console-session"
	KindSignInToken       Kind = "sign-in-token"
)

// Key is the identity of an object: its kind and its id.
type Key struct {
	Kind Kind
	ID   string
}

// Object is one of *Installation, *VPC, *Subnet, *SecurityGroup, *NetworkInterface, *Instance,
// *Host, *AccessKey, *PrefixList, *PrefixListVersion, *PeeringConnection, *InsightsPath,
// *InsightsAnalysis, *User, *ConsoleSession and *SignInToken.
type Object interface {
	Key() Key
	// indexed returns the (index, value) pairs under which the object is found.
	indexed() []entry
}

// entry is one line of the index: objects of which value can be listed by it.
type entry struct {
	index indexName
	value string
}

type indexName string

// The indexes: only what an action or the feed asks on its way to an answer; other filters scan.
const (
	groupsByVPC         indexName = "vpc>group"
	groupByName         indexName = "vpc/name>group" // value: vpc id, "/", lower-case name
	groupsByReference   indexName = "group>referencing group"
	groupByRule         indexName = "rule>group"
	subnetsByVPC        indexName = "vpc>subnet"
	enisBySubnet        indexName = "subnet>eni"
	enisByVPC           indexName = "vpc>eni"
	enisByGroup         indexName = "group>eni"
	enisByInstance      indexName = "instance>eni"
	enisByHost          indexName = "host>eni"
	eniByAddress        indexName = "vpc/address>eni" // value: vpc id, "/", address
	eniByMAC            indexName = "mac>eni"
	eniByAttachment     indexName = "attachment>eni"
	instancesByHost     indexName = "host>instance"
	instancesByState    indexName = "state>instance" // terminated ones only
	groupsByAssociation indexName = "associated vpc>group"
	groupsByPrefixList  indexName = "prefix list>group"      // with a rule that names it
	eniByPrefix         indexName = "vpc/prefix>eni"         // value: vpc id, "/", delegated prefix
	peeringsByVPC       indexName = "vpc>peering connection" // of either side, alive or not
	analysesByPath      indexName = "path>analysis"
	keysByUser          indexName = "user>access key"
	sessionsByEnd       indexName = "end>access key" // value: see sessionEnd

	keysByConsoleSession  indexName = "console session>access key"
	consoleSessionsByUser indexName = "user>console session"
	consoleSessionsByEnd  indexName = "end>console session"
	signInTokensByUser    indexName = "user>sign-in token"
	signInTokensByEnd     indexName = "end>sign-in token"

	byClientToken indexName = "token>object" // value: kind, "/", token
)

// State is everything the control plane knows, at one revision of the store. It is immutable and
// safe for concurrent use; Apply makes the next one, sharing all that did not change.
type State struct {
	revision     int64
	installation *Installation
	objects      btree.Map[string, Object]   // by Key.path
	index        btree.Map[string, struct{}] // "index\x00value\x00id"
	counts       map[Kind]int                // copied whole by Apply: it has one entry per kind
	found        *lookups                    // nil but in the copies that remembering makes
	steps        []step                      // the last that led here, oldest first
	since        int64                       // revision from which on steps knows all
}

// step is what one Apply touched.
type step struct {
	from int64 // revision of the State that it changed
	keys []Key
}

// How much a State remembers: many more changes are rare between two looks at it, and of larger ones
// it is cheaper to look at all.
const (
	mostSteps    = 64
	mostStepKeys = 256
)

// ChangedSince returns the keys of all objects that may differ between this State and the one that was
// there at an earlier revision. ok is false if too much has come since.
func (s *State) ChangedSince(revision int64) (keys []Key, ok bool) {
	if revision < s.since {
		return nil, false
	}
	for _, c := range s.steps {
		if c.from >= revision {
			keys = append(keys, c.keys...)
		}
	}
	return keys, true
}

// remember notes in n, which Apply made of s, how it came from there.
func (s *State) remember(n *State, c Change) {
	size := len(c.Puts) + len(c.Deletes)
	switch {
	case s.revision == 0:
		n.since = n.revision // there is no earlier one
		return
	case size == 0:
		n.steps, n.since = s.steps, s.since
		return
	case size > mostStepKeys:
		n.since = s.revision + 1
		return
	}
	at := step{s.revision, slices.Clone(c.Deletes)}
	for _, o := range c.Puts {
		at.keys = append(at.keys, o.Key())
	}
	n.steps, n.since = s.steps, s.since
	if len(n.steps) == mostSteps {
		n.since = n.steps[0].from + 1
		n.steps = n.steps[1:]
	}
	n.steps = append(slices.Clip(n.steps), at) // a copy: others may follow s, too
}

// lookups are objects that many others refer to, and that were looked up before.
type lookups struct {
	groups  map[GroupID]*SecurityGroup
	subnets map[SubnetID]*Subnet
}

// remembering returns the State for one question about many objects, by one goroutine: it looks up the
// groups and subnets that they refer to only once.
func (s *State) remembering() *State {
	c := *s
	c.found = &lookups{map[GroupID]*SecurityGroup{}, map[SubnetID]*Subnet{}}
	return &c
}

// degree of the trees: nodes are small, since Apply copies one per level.
const degree = 8

// Revision is the store's revision that this State shows; 0 for an empty State.
func (s *State) Revision() int64 { return s.revision }

// Installation returns the installation's own record; nil before the first start has written it.
func (s *State) Installation() *Installation { return s.installation }

// Count returns the number of objects of a kind.
func (s *State) Count(k Kind) int { return s.counts[k] }

// Counts yields the number of objects of each kind that there is or was.
func (s *State) Counts() iter.Seq2[Kind, int] { return maps.All(s.counts) }

func (k Key) path() string { return string(k.Kind) + "\x00" + k.ID }

// Get returns the object with that key, or nil.
func (s *State) Get(k Key) Object {
	o, _ := s.objects.Get(k.path())
	return o
}

// get returns the object of type T, or nil.
func get[T any, P interface {
	*T
	Object
}](s *State, kind Kind, id string,
) *T {
	o, _ := s.objects.Get(Key{kind, id}.path())
	p, _ := o.(P)
	return (*T)(p)
}

// all yields the objects of a kind in order of their ids.
func all[P Object](s *State, kind Kind) iter.Seq[P] {
	prefix := Key{Kind: kind}.path()
	return func(yield func(P) bool) {
		m := s.objects // a copy of the header: reading never writes to the shared nodes
		m.Ascend(prefix, func(k string, o Object) bool {
			p, ok := o.(P)
			return ok && strings.HasPrefix(k, prefix) && yield(p)
		})
	}
}

// lookup yields the ids found in an index under a value, in order.
func (s *State) lookup(name indexName, value string) iter.Seq[string] {
	prefix := string(name) + "\x00" + value + "\x00"
	return func(yield func(string) bool) {
		m := s.index
		m.Ascend(prefix, func(k string, _ struct{}) bool {
			id, ok := strings.CutPrefix(k, prefix)
			return ok && yield(id)
		})
	}
}

// ascend yields the values of an index in order, each with an id that is found under it.
func (s *State) ascend(name indexName) iter.Seq2[string, string] {
	prefix := string(name) + "\x00"
	return func(yield func(value, id string) bool) {
		m := s.index
		m.Ascend(prefix, func(k string, _ struct{}) bool {
			k, ok := strings.CutPrefix(k, prefix)
			value, id, _ := strings.Cut(k, "\x00")
			return ok && yield(value, id)
		})
	}
}

// one returns the first id found in an index under a value, or "".
func (s *State) one(name indexName, value string) string {
	for id := range s.lookup(name, value) {
		return id
	}
	return ""
}

// Change is what an action wants written: all of it or nothing. Putting an object replaces the one
// with its key. No key occurs twice.
type Change struct {
	Puts    []Object
	Deletes []Key
}

// Empty reports whether there is nothing to write.
func (c Change) Empty() bool { return len(c.Puts) == 0 && len(c.Deletes) == 0 }

// Apply returns the State after c, at the given revision. Deleting what is not there is no error:
// a watch may replay.
func (s *State) Apply(c Change, revision int64) *State {
	n := &State{revision: revision, installation: s.installation, counts: make(map[Kind]int, len(s.counts)+1)}
	if s.objects.Len() == 0 {
		n.objects, n.index = *btree.NewMap[string, Object](degree), *btree.NewMap[string, struct{}](degree)
	} else {
		header, indexHeader := s.objects, s.index // IsoCopy writes to its receiver, which must not be the shared State
		n.objects, n.index = *header.IsoCopy(), *indexHeader.IsoCopy()
	}
	maps.Copy(n.counts, s.counts)
	s.remember(n, c)
	for _, k := range c.Deletes {
		if old, ok := n.objects.Delete(k.path()); ok {
			n.reindex(k.ID, old.indexed(), nil)
			n.counts[k.Kind]--
			if k.Kind == KindInstallation {
				n.installation = nil
			}
		}
	}
	for _, o := range c.Puts {
		k := o.Key()
		var was []entry
		if old, ok := n.objects.Set(k.path(), o); ok {
			was = old.indexed()
		} else {
			n.counts[k.Kind]++
		}
		n.reindex(k.ID, was, o.indexed())
		if i, ok := o.(*Installation); ok {
			n.installation = i
		}
	}
	return n
}

// reindex makes the entries of an object, which were was, those that they are now. Most stay: a rule
// more in a group is one entry more, and to touch an entry is to copy a path of the tree.
func (s *State) reindex(id string, was, now []entry) {
	same, last := 0, 0
	for same < min(len(was), len(now)) && was[same] == now[same] {
		same++
	}
	for last < min(len(was), len(now))-same && was[len(was)-1-last] == now[len(now)-1-last] {
		last++
	}
	gone, come := was[same:len(was)-last], now[same:len(now)-last]
	for _, e := range minus(gone, now) {
		s.index.Delete(e.path(id))
	}
	for _, e := range minus(come, was) {
		s.index.Set(e.path(id), struct{}{})
	}
}

// minus returns what is in list and not in other. An entry may be in both more than once.
func minus(list, other []entry) []entry {
	var in map[entry]bool
	if len(list) > 4 {
		in = make(map[entry]bool, len(other))
		for _, e := range other {
			in[e] = true
		}
	}
	var rest []entry
	for _, e := range list {
		if in == nil && !slices.Contains(other, e) || in != nil && !in[e] {
			rest = append(rest, e)
		}
	}
	return rest
}

func (e entry) path(id string) string { return string(e.index) + "\x00" + e.value + "\x00" + id }

// Objects yields every object, ordered by kind and id: for comparing whole States.
func (s *State) Objects() iter.Seq[Object] {
	return func(yield func(Object) bool) {
		m := s.objects
		m.Scan(func(_ string, o Object) bool { return yield(o) })
	}
}

// New returns an empty object of a kind, for a store to decode into.
func New(k Kind) (Object, error) {
	switch k {
	case KindInstallation:
		return new(Installation), nil
	case KindVPC:
		return new(VPC), nil
	case KindSubnet:
		return new(Subnet), nil
	case KindSecurityGroup:
		return new(SecurityGroup), nil
	case KindInterface:
		return new(NetworkInterface), nil
	case KindInstance:
		return new(Instance), nil
	case KindHost:
		return new(Host), nil
	case KindAccessKey:
		return new(AccessKey), nil
	case KindPrefixList:
		return new(PrefixList), nil
	case KindPrefixListVersion:
		return new(PrefixListVersion), nil
	case KindPeering:
		return new(PeeringConnection), nil
	case KindInsightsPath:
		return new(InsightsPath), nil
	case KindInsightsAnalysis:
		return new(InsightsAnalysis), nil
	case KindUser:
		return new(User), nil
	case KindConsoleSession:
		return new(ConsoleSession), nil
	case KindSignInToken:
		return new(SignInToken), nil
	default:
		return nil, fmt.Errorf("unknown kind of object %q", k)
	}
}
