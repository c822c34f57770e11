package datapath

import (
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/sallyport/sallyport/ruleset"
)

// DieUpgrading does half of the first Apply of an upgrade, as an agent that is killed after so many of
// its steps.
func (d *Datapath) DieUpgrading(t ruleset.Tables, m ruleset.Members, steps int) error {
	d.settling.Wait()
	if err := d.build(t, m); err != nil {
		return err
	}
	atomic.AddUint64(&d.state.Epoch, 1)
	for _, step := range d.upgradeSteps()[:steps] {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// UpgradeSteps is how many steps DieUpgrading can do.
func (d *Datapath) UpgradeSteps() int { return len(d.upgradeSteps()) }

// StructOf is where the fields of a struct are.
type StructOf struct {
	Size    int
	Offsets []int
}

// OlderStructs are the structs of an older layout that an upgrade reads, by their names in C.
func OlderStructs(layout uint64) map[string]StructOf {
	all := map[string]StructOf{}
	for name, v := range map[uint64]map[string]any{
		2: {"device": layout3Device{}, "connection_key": layout2ConnectionKey{}, "connection": layout2Connection{}, "counts": layout2Counts{}},
		3: {
			"device": layout3Device{}, "connection_key": layout3ConnectionKey{}, "connection": layout3Connection{}, "counts": layout3Counts{},
			"admission": layout3Admission{}, "event_budget": layout3EventBudget{}, "rule_key": layout3RuleKey{}, "rule_count": layout3RuleCount{},
		},
		4: {
			"device": layout3Device{}, "connection_key": layout3ConnectionKey{}, "connection": layout4Connection{}, "counts": layout3Counts{},
			"admission": layout3Admission{}, "event_budget": layout3EventBudget{}, "rule_key": layout3RuleKey{}, "rule_count": layout3RuleCount{},
			"eni": layout4Eni{}, "bucket": layout4Bucket{}, "overflow": layout4Overflow{},
		},
	}[layout] {
		of := reflect.TypeOf(v)
		s := StructOf{Size: int(of.Size())}
		for f := range of.Fields() {
			s.Offsets = append(s.Offsets, int(f.Offset))
		}
		all[name] = s
	}
	return all
}

// OlderENI is the size of a struct eni of an older layout.
func OlderENI(layout uint64) int {
	return map[uint64]int{2: layout2Eni, 3: layout3Eni, 4: int(unsafe.Sizeof(layout4Eni{}))}[layout]
}

// Layout4Look is what a look at an entry of layout 4 sees.
type Layout4Look struct{ Tag, Revision uint64 }

// CarryLayout4 returns what an entry of layout 4 has after an upgrade that sees it so, one look after the other; zeros
// if it is passed over.
func CarryLayout4(looks []Layout4Look) Layout4Look {
	look := func() (layout4Overflow, error) {
		now := looks[0]
		if len(looks) > 1 {
			looks = looks[1:]
		}
		return layout4Overflow{now.Tag, layout4Connection{Key: layout3ConnectionKey{Family: uint8(guestFamilyFAMILY_IPV4)}, Revision: now.Revision}}, nil
	}
	first, _ := look()
	o, ok, _ := readLayout4(first, look)
	if !ok {
		return Layout4Look{}
	}
	ours := o.Connection.Key.convert(o.convert(), nil)
	return Layout4Look{ours.Tag, *ours.Connection.revisionAt()}
}
