package vpc

// place chooses the host of a lab guest in a VPC: preferred if it can, else the one with the fewest
// instances. A full host cannot, nor one whose lab guests are in another VPC with overlapping
// blocks: it has one routing table.
func (d *draft) place(vpc VPCID, preferred HostID) (HostID, error) {
	var best HostID
	fewest, labs, full := 0, 0, 0
	for h := range d.Hosts() {
		if !h.Lab {
			continue
		}
		labs++
		n, clash := d.labGuests(h.ID, vpc)
		if clash {
			continue
		}
		if n >= d.Quota(InstancesPerHost) {
			full++
			continue
		}
		if h.ID == preferred {
			return h.ID, nil
		}
		if best == "" || n < fewest {
			best, fewest = h.ID, n
		}
	}
	switch {
	case best != "":
		return best, nil
	case labs == 0:
		return "", Errorf(CodeInsufficientInstanceCapacity,
			"No host runs lab guests: none has connected with an agent that was started with --lab.")
	case full > 0:
		return "", Errorf(CodeInsufficientInstanceCapacity,
			"Every host that could run the lab guest has %d already.", d.Quota(InstancesPerHost))
	default:
		return "", Errorf(CodeInsufficientInstanceCapacity,
			"Every host that runs lab guests has some of another VPC whose addresses overlap with those of '%s'.", vpc)
	}
}

// labGuests counts the lab guests on a host that run or are to run, and reports whether one is in
// another VPC whose blocks overlap with vpc's.
func (d *draft) labGuests(host HostID, vpc VPCID) (n int, clash bool) {
	others := map[VPCID]bool{}
	for i := range d.InstancesOfHost(host) {
		if i.Image == ImageExternal || i.State == Stopped || i.State == Terminated {
			continue
		}
		n++
		for eni := range d.InterfacesOfInstance(i.ID) {
			if eni.VPC != vpc {
				others[eni.VPC] = true
			}
		}
	}
	for other := range others {
		if overlap(d.VPC(other), d.VPC(vpc)) {
			return n, true
		}
	}
	return n, false
}

// overlap reports whether two VPCs share addresses.
func overlap(a, b *VPC) bool {
	for _, p := range a.CIDRs {
		for _, q := range b.CIDRs {
			if p.CIDR.Overlaps(q.CIDR) {
				return true
			}
		}
	}
	return false
}
