package vpc

// draft is a Change in the making. Its State shows what was put and deleted so far, so the later
// steps of an action see the earlier ones, and however often an object is put, it is written once.
type draft struct {
	*State
	base    *State
	touched []Key // in order of first use
	seen    map[Key]bool
}

func (s *State) draft() *draft {
	return &draft{State: s, base: s, seen: map[Key]bool{}}
}

// put adds or replaces objects. They belong to the State from now on: change a copy and put that.
func (d *draft) put(objects ...Object) {
	for _, o := range objects {
		d.touch(o.Key())
	}
	d.State = d.Apply(Change{Puts: objects}, d.base.revision)
}

// delete removes objects; an unknown key does nothing.
func (d *draft) delete(keys ...Key) {
	for _, k := range keys {
		d.touch(k)
	}
	d.State = d.Apply(Change{Deletes: keys}, d.base.revision)
}

func (d *draft) touch(k Key) {
	if !d.seen[k] {
		d.seen[k] = true
		d.touched = append(d.touched, k)
	}
}

// change returns what turns the State that the draft began with into the one it shows now.
func (d *draft) change() Change {
	var c Change
	for _, k := range d.touched {
		now, before := d.Get(k), d.base.Get(k)
		switch {
		case now == nil && before != nil:
			c.Deletes = append(c.Deletes, k)
		case now != nil && now != before:
			c.Puts = append(c.Puts, now)
		}
	}
	return c
}
