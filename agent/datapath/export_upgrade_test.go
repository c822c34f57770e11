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

// Layout2Structs are the structs of layout 2 that an upgrade reads, by their names in C.
func Layout2Structs() map[string]StructOf {
	all := map[string]StructOf{}
	for name, v := range map[string]any{
		"device": layout2Device{}, "connection_key": layout2ConnectionKey{}, "connection": layout2Connection{}, "counts": layout2Counts{},
	} {
		of := reflect.TypeOf(v)
		s := StructOf{Size: int(of.Size())}
		for f := range of.Fields() {
			s.Offsets = append(s.Offsets, int(f.Offset))
		}
		all[name] = s
	}
	return all
}
