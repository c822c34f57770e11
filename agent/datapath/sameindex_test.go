package datapath_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/ruleset"
)

// another replaces the device of eniA by another one with the same index.
func (h *host) another(name string) {
	h.t.Helper()
	index := h.devices[eniA]
	h.do(func() {
		l, err := netlink.LinkByIndex(index)
		must(h.t, err)
		must(h.t, netlink.LinkDel(l))
		must(h.t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, Index: index}, PeerName: name + "q"}))
	})
}

// TestSameIndex: a device that has the index, and perhaps the name, of one that is gone never has its
// rights, whether an agent was there or not.
func TestSameIndex(t *testing.T) {
	t.Parallel()
	first := tcp(remote4, own4, 4000, 80, syn)
	begin := func(t *testing.T, mode datapath.Mode) *host {
		h := newHost(t, datapath.Options{Attach: mode})
		h.attach(eniA)
		h.apply(view(rule(false, allowAll()[0].Protocol, -1, -1, "198.51.100.0/24")))
		h.want(eniA, ruleset.Ingress, first, ruleset.ReasonRule)
		h.want(eniA, ruleset.Egress, first.reply(), ruleset.ReasonTracked)
		return h
	}
	for _, mode := range modes(t) {
		for _, name := range []string{"g0", "other"} {
			t.Run(fmt.Sprintf("%s, %s", mode, name), func(t *testing.T) {
				t.Parallel()
				h := begin(t, mode)
				index := h.devices[eniA]
				h.another(name)
				if h.do(func() {
					if h.d.Filters(index) {
						t.Error("the device is taken for the one that is gone")
					}
				}); len(h.filters(index)) != 0 {
					t.Error("the new device is filtered already")
				}
				h.do(func() { must(t, h.d.Attach(index, name, eniB)) })
				h.want(eniA, ruleset.Ingress, first, ruleset.ReasonNoTable)
				h.want(eniA, ruleset.Egress, first.reply(), ruleset.ReasonNoTable)
				h.do(func() { must(t, h.d.Attach(index, name, eniA)) })
				h.want(eniA, ruleset.Egress, first.reply(), ruleset.ReasonNoRule) // the connection was the old device's
				h.want(eniA, ruleset.Ingress, first, ruleset.ReasonRule)

				h = begin(t, mode)
				index = h.devices[eniA]
				h.another(name)
				h.do(func() { must(t, h.d.Attach(index, name, eniA)) })
				h.want(eniA, ruleset.Egress, first.reply(), ruleset.ReasonNoRule)

				h = begin(t, mode)
				index = h.devices[eniA]
				must(t, h.d.Close())
				h.another(name)
				h.open()
				want := []datapath.Attachment{{Ifindex: index, Name: name, Replaced: true}}
				if name == "other" {
					want = []datapath.Attachment{}
				}
				if got := h.d.Attached(); !slices.Equal(got, want) {
					t.Errorf("it came without an agent: attached: %+v, want %+v", got, want)
				}
				h.want(eniA, ruleset.Egress, first.reply(), ruleset.ReasonUnbound)
				h.apply(h.view)
				h.restart()
				h.apply(h.view)
				h.want(eniA, ruleset.Ingress, first, ruleset.ReasonUnbound)
				h.do(func() { must(t, h.d.Attach(index, name, eniA)) })
				h.want(eniA, ruleset.Egress, first.reply(), ruleset.ReasonNoRule)
				h.want(eniA, ruleset.Ingress, first, ruleset.ReasonRule)
				h.do(func() { must(t, h.d.Detach(index)) })
				if got := len(h.filters(index)) + len(h.links()); got != 0 {
					t.Errorf("%d links and filters are left after Detach", got)
				}
			})
		}
	}
}
