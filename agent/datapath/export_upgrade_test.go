package datapath

import (
	"reflect"
	"sync/atomic"

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
func OlderENI(layout uint64) int { return map[uint64]int{2: layout2Eni, 3: layout3Eni}[layout] }
