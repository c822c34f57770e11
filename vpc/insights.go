package vpc

import (
	"net/netip"
	"strings"
)

// NewInsightsPath is what CreateNetworkInsightsPath is told.
type NewInsightsPath struct {
	Source                  string // id or ARN of an interface or instance
	Destination             string // the same; "": whoever has the address
	SourceIP, DestinationIP string // "": any that the end has
	Protocol                string // tcp or udp
	DestinationPort         int32  // 0: any
	AtSource, AtDestination *NewInsightsFilter
	TagSpecifications       []TagSpecification
	ClientToken             string
}

// NewInsightsFilter narrows packets, as a client writes it.
type NewInsightsFilter struct {
	Source, Destination           string // an address or a CIDR; "": any
	SourcePorts, DestinationPorts NewPortRange
}

// NewPortRange is a range of ports; neither end: all of them.
type NewPortRange struct{ From, To *int32 }

// CreateInsightsPath makes a path. The same ClientToken with the same request returns the path that it
// made the first time.
func (s *State) CreateInsightsPath(env Env, in NewInsightsPath) (*InsightsPath, Change, error) {
	fail := func(err error) (*InsightsPath, Change, error) { return nil, Change{}, err }
	hash := requestHash(in)
	if made := s.InsightsPath(InsightsPathID(s.one(byClientToken, string(KindInsightsPath)+"/"+in.ClientToken))); made != nil {
		if made.TokenHash != hash {
			return fail(errTokenReused())
		}
		return made, Change{}, nil
	}
	tags, err := specifiedTags(in.TagSpecifications, "network-insights-path")
	if err != nil {
		return fail(err)
	}
	p, err := s.insightsPath(in)
	if err != nil {
		return fail(err)
	}
	if s.Count(KindInsightsPath) >= s.Quota(InsightsPathsPerRegion) {
		return fail(Errorf(CodeResourceLimitExceeded, "The maximum number of network insights paths has been reached."))
	}
	p.ID, p.Created = InsightsPathID(env.ID("nip")), env.Now
	p.ClientToken, p.TokenHash, p.Tags = in.ClientToken, hash, tags["network-insights-path"]
	d := s.draft()
	d.put(p)
	return p, d.change(), nil
}

// insightsPath checks what a request says of a path.
func (s *State) insightsPath(in NewInsightsPath) (*InsightsPath, error) {
	p := &InsightsPath{DestinationPort: in.DestinationPort}
	switch in.Protocol {
	case "tcp":
		p.Protocol = TCP
	case "udp":
		p.Protocol = UDP
	default:
		return nil, errValue(in.Protocol, "protocol")
	}
	// Source: EC2 API reference, CreateNetworkInsightsPath, FilterAtSource and FilterAtDestination.
	switch {
	case in.AtSource != nil && in.SourceIP != "":
		return nil, errCombination("filterAtSource", "sourceIp")
	case in.AtSource != nil && in.DestinationPort != 0:
		return nil, errCombination("filterAtSource", "destinationPort")
	case in.AtDestination != nil && in.DestinationIP != "":
		return nil, errCombination("filterAtDestination", "destinationIp")
	}
	var err error
	if p.SourceIP, err = insightsAddress("sourceIp", in.SourceIP); err != nil {
		return nil, err
	}
	if p.DestinationIP, err = insightsAddress("destinationIp", in.DestinationIP); err != nil {
		return nil, err
	}
	if p.AtSource, err = insightsFilter("filterAtSource", in.AtSource); err != nil {
		return nil, err
	}
	if p.AtDestination, err = insightsFilter("filterAtDestination", in.AtDestination); err != nil {
		return nil, err
	}
	if p.Source, err = s.insightsEnd("source", in.Source); err != nil {
		return nil, err
	}
	if in.Destination == "" {
		single := func(c netip.Prefix) bool { return c.IsValid() && c.IsSingleIP() }
		if !p.DestinationIP.IsValid() && !single(p.AtSource.Destination) && !single(p.AtDestination.Destination) {
			return nil, errMissing("destination")
		}
		return p, nil
	}
	if p.Destination, err = s.insightsEnd("destination", in.Destination); err != nil {
		return nil, err
	}
	if p.Source == p.Destination {
		return nil, Errorf(CodeInvalidParameterValue, "The source and the destination must not be the same.")
	}
	return p, nil
}

// insightsEnd returns the id of an end of a path, which is there.
func (s *State) insightsEnd(parameter, text string) (string, error) {
	id, err := s.idOf(parameter, text)
	if err != nil {
		return "", err
	}
	switch taggable[idPrefix(id)] {
	case "network-interface":
		_, err = s.findInterface(InterfaceID(id))
	case "instance":
		_, err = s.findInstance(InstanceID(id))
	default:
		err = Errorf(CodeInvalidParameterValue, "Value (%s) for parameter %s is invalid. "+
			"Expecting the ID or ARN of a network interface or an instance.", text, parameter)
	}
	return id, err
}

// idOf returns the id that an ARN of this account and region names; what is no ARN is returned as it is.
func (s *State) idOf(parameter, text string) (string, error) {
	if !strings.HasPrefix(text, "arn:") {
		return text, nil
	}
	id := text[strings.LastIndexByte(text, '/')+1:]
	if s.ARN(id) != text {
		return "", errValue(text, parameter)
	}
	return id, nil
}

// ARN returns the ARN of what has an id, "" if it is of no type that has ARNs.
func (s *State) ARN(id string) string {
	kind, ok := taggable[idPrefix(id)]
	if !ok {
		return ""
	}
	return s.arn(kind, id)
}

// idPrefix returns what an id begins with: "eni" of "eni-01234567".
func idPrefix(id string) string { return id[:max(strings.LastIndexByte(id, '-'), 0)] }

func insightsAddress(parameter, text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}, errValue(text, parameter)
	}
	return a, nil
}

func insightsFilter(parameter string, in *NewInsightsFilter) (f InsightsFilter, err error) {
	if in == nil {
		return f, nil
	}
	if f.Source, err = insightsBlock(parameter+".sourceAddress", in.Source); err != nil {
		return f, err
	}
	if f.Destination, err = insightsBlock(parameter+".destinationAddress", in.Destination); err != nil {
		return f, err
	}
	if f.SourcePorts, err = in.SourcePorts.ports(parameter + ".sourcePortRange"); err != nil {
		return f, err
	}
	f.DestinationPorts, err = in.DestinationPorts.ports(parameter + ".destinationPortRange")
	return f, err
}

// insightsBlock reads an address, or a CIDR without host bits.
func insightsBlock(parameter, text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := insightsAddress(parameter, text)
		if err != nil || !a.IsValid() {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	c, err := parseCIDR(text)
	if err != nil || c.String() != text {
		return netip.Prefix{}, errValue(text, parameter)
	}
	return c, nil
}

func (r NewPortRange) ports(parameter string) ([2]int32, error) {
	switch {
	case r.From == nil && r.To == nil:
		return [2]int32{}, nil
	case r.From == nil:
		return [2]int32{}, errMissing(parameter + ".fromPort")
	case r.To == nil:
		return [2]int32{}, errMissing(parameter + ".toPort")
	case *r.From < 0 || *r.From > *r.To || *r.To > 65535:
		return [2]int32{}, Errorf(CodeInvalidParameterValue, "Value (%d-%d) for parameter %s is invalid.", *r.From, *r.To, parameter)
	}
	return [2]int32{*r.From, *r.To}, nil
}

// DeleteInsightsPath deletes a path that has no analyses.
func (s *State) DeleteInsightsPath(id InsightsPathID) (Change, error) {
	p, err := s.findInsightsPath(id)
	if err != nil {
		return Change{}, err
	}
	for range s.AnalysesOfPath(id) {
		return Change{}, Errorf(CodeAnalysisExistsForNetworkInsightsPath,
			"The network insights path '%s' has analyses and cannot be deleted.", id)
	}
	d := s.draft()
	d.delete(p.Key())
	return d.change(), nil
}

// NewInsightsAnalysis is what StartNetworkInsightsAnalysis is told.
type NewInsightsAnalysis struct {
	Path              InsightsPathID
	Through, Without  []string // ARNs
	TagSpecifications []TagSpecification
	ClientToken       string
}

// CheckInsightsAnalysis returns the path that is to be analysed, and the ids that Through and Without
// name, or refuses the request.
func (s *State) CheckInsightsAnalysis(in NewInsightsAnalysis) (p *InsightsPath, through, without []string, err error) {
	if p, err = s.findInsightsPath(in.Path); err != nil {
		return nil, nil, nil, err
	}
	ids := func(parameter string, arns []string) (ids []string) {
		for _, arn := range arns {
			id := ""
			if !strings.HasPrefix(arn, "arn:") {
				err = errValue(arn, parameter)
			} else if id, err = s.idOf(parameter, arn); err == nil {
				ids = append(ids, id)
			}
			if err != nil {
				return nil
			}
		}
		return ids
	}
	if through = ids("filterInArn", in.Through); err != nil {
		return nil, nil, nil, err
	}
	if without = ids("filterOutArn", in.Without); err != nil {
		return nil, nil, nil, err
	}
	return p, through, without, nil
}

// StartInsightsAnalysis keeps the result of an analysis: its Revision, Found and Findings are given.
// The same ClientToken with the same request returns the analysis that it made the first time.
func (s *State) StartInsightsAnalysis(env Env, in NewInsightsAnalysis, result InsightsAnalysis) (*InsightsAnalysis, Change, error) {
	fail := func(err error) (*InsightsAnalysis, Change, error) { return nil, Change{}, err }
	hash := requestHash(in)
	if made := s.InsightsAnalysis(InsightsAnalysisID(s.one(byClientToken, string(KindInsightsAnalysis)+"/"+in.ClientToken))); made != nil {
		if made.TokenHash != hash {
			return fail(errTokenReused())
		}
		return made, Change{}, nil
	}
	tags, err := specifiedTags(in.TagSpecifications, "network-insights-analysis")
	if err != nil {
		return fail(err)
	}
	if _, _, _, err := s.CheckInsightsAnalysis(in); err != nil {
		return fail(err)
	}
	if s.Count(KindInsightsAnalysis) >= s.Quota(InsightsAnalysesPerRegion) {
		return fail(Errorf(CodeResourceLimitExceeded, "The maximum number of network insights analyses has been reached."))
	}
	a := result
	a.ID, a.Path, a.Started = InsightsAnalysisID(env.ID("nia")), in.Path, env.Now
	a.Through, a.Without = in.Through, in.Without
	a.ClientToken, a.TokenHash, a.Tags = in.ClientToken, hash, tags["network-insights-analysis"]
	d := s.draft()
	d.put(&a)
	return &a, d.change(), nil
}

// DeleteInsightsAnalysis deletes an analysis.
func (s *State) DeleteInsightsAnalysis(id InsightsAnalysisID) (Change, error) {
	a, err := s.findInsightsAnalysis(id)
	if err != nil {
		return Change{}, err
	}
	d := s.draft()
	d.delete(a.Key())
	return d.change(), nil
}

func (s *State) findInsightsPath(id InsightsPathID) (*InsightsPath, error) {
	if _, err := ParseInsightsPathID(string(id)); err != nil {
		return nil, err
	}
	if p := s.InsightsPath(id); p != nil {
		return p, nil
	}
	return nil, Errorf(CodeInvalidNetworkInsightsPathIDNotFound, "The network insights path ID '%s' does not exist", id)
}

func (s *State) findInsightsAnalysis(id InsightsAnalysisID) (*InsightsAnalysis, error) {
	if _, err := ParseInsightsAnalysisID(string(id)); err != nil {
		return nil, err
	}
	if a := s.InsightsAnalysis(id); a != nil {
		return a, nil
	}
	return nil, Errorf(CodeInvalidNetworkInsightsAnalysisIDNotFound,
		"The network insights analysis ID '%s' does not exist", id)
}
