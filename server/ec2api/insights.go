package ec2api

import (
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/reachability"
	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

func (a *api) insightsActions() {
	handle(a, wire.CreateNetworkInsightsPath, createNetworkInsightsPath)
	handle(a, wire.DeleteNetworkInsightsPath, deleteNetworkInsightsPath)
	handle(a, wire.DescribeNetworkInsightsPaths, describeNetworkInsightsPaths)
	handle(a, wire.StartNetworkInsightsAnalysis, startNetworkInsightsAnalysis)
	handle(a, wire.DeleteNetworkInsightsAnalysis, deleteNetworkInsightsAnalysis)
	handle(a, wire.DescribeNetworkInsightsAnalyses, describeNetworkInsightsAnalyses)
}

func createNetworkInsightsPath(
	c *call, in *wire.CreateNetworkInsightsPathRequest,
) (*wire.CreateNetworkInsightsPathResult, error) {
	asked := vpc.NewInsightsPath{
		Source:            wire.Value(in.Source),
		Destination:       wire.Value(in.Destination),
		SourceIP:          wire.Value(in.SourceIp),
		DestinationIP:     wire.Value(in.DestinationIp),
		Protocol:          wire.Value(in.Protocol),
		DestinationPort:   wire.Value(in.DestinationPort),
		AtSource:          newInsightsFilter(in.FilterAtSource),
		AtDestination:     newInsightsFilter(in.FilterAtDestination),
		TagSpecifications: tagSpecifications(in.TagSpecifications),
		ClientToken:       wire.Value(in.ClientToken),
	}
	var out *wire.CreateNetworkInsightsPathResult
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		p, change, err := s.CreateInsightsPath(c.env, asked)
		if err != nil {
			return change, err
		}
		out = &wire.CreateNetworkInsightsPathResult{NetworkInsightsPath: insightsPath(s, p)}
		return change, nil
	})
	return out, err
}

func newInsightsFilter(in *wire.PathRequestFilter) *vpc.NewInsightsFilter {
	if in == nil {
		return nil
	}
	ports := func(r *wire.RequestFilterPortRange) (out vpc.NewPortRange) {
		if r != nil {
			out = vpc.NewPortRange{From: r.FromPort, To: r.ToPort}
		}
		return out
	}
	return &vpc.NewInsightsFilter{
		Source: wire.Value(in.SourceAddress), Destination: wire.Value(in.DestinationAddress),
		SourcePorts: ports(in.SourcePortRange), DestinationPorts: ports(in.DestinationPortRange),
	}
}

func deleteNetworkInsightsPath(
	c *call, in *wire.DeleteNetworkInsightsPathRequest,
) (*wire.DeleteNetworkInsightsPathResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.DeleteInsightsPath(vpc.InsightsPathID(wire.Value(in.NetworkInsightsPathId)))
	})
	return &wire.DeleteNetworkInsightsPathResult{NetworkInsightsPathId: in.NetworkInsightsPathId}, err
}

func describeNetworkInsightsPaths(
	c *call, in *wire.DescribeNetworkInsightsPathsRequest,
) (*wire.DescribeNetworkInsightsPathsResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	paths, next, err := s.DescribeInsightsPaths(vpc.InsightsPathQuery{
		IDs:     ids[vpc.InsightsPathID](in.NetworkInsightsPathIds),
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeNetworkInsightsPathsResult{
		NetworkInsightsPaths: []wire.NetworkInsightsPath{}, NextToken: token(next),
	}
	for _, p := range paths {
		out.NetworkInsightsPaths = append(out.NetworkInsightsPaths, *insightsPath(s, p))
	}
	return out, nil
}

func insightsPath(s *vpc.State, p *vpc.InsightsPath) *wire.NetworkInsightsPath {
	w := &wire.NetworkInsightsPath{
		CreatedDate:            &p.Created,
		Destination:            text(p.Destination),
		DestinationArn:         text(s.ARN(p.Destination)),
		FilterAtDestination:    pathFilter(p.AtDestination),
		FilterAtSource:         pathFilter(p.AtSource),
		NetworkInsightsPathArn: text(s.ARN(string(p.ID))),
		NetworkInsightsPathId:  text(p.ID),
		Protocol:               text(p.Protocol.String()),
		Source:                 &p.Source,
		SourceArn:              text(s.ARN(p.Source)),
		Tags:                   tagSet(p.Tags),
	}
	if p.SourceIP.IsValid() {
		w.SourceIp = new(p.SourceIP.String())
	}
	if p.DestinationIP.IsValid() {
		w.DestinationIp = new(p.DestinationIP.String())
	}
	if p.DestinationPort != 0 {
		w.DestinationPort = &p.DestinationPort
	}
	return w
}

func pathFilter(f vpc.InsightsFilter) *wire.PathFilter {
	if f == (vpc.InsightsFilter{}) {
		return nil
	}
	ports := func(r [2]int32) *wire.FilterPortRange {
		if r == [2]int32{} {
			return nil
		}
		return &wire.FilterPortRange{FromPort: &r[0], ToPort: &r[1]}
	}
	return &wire.PathFilter{
		DestinationAddress: text(f.DestinationText()), DestinationPortRange: ports(f.DestinationPorts),
		SourceAddress: text(f.SourceText()), SourcePortRange: ports(f.SourcePorts),
	}
}

// startNetworkInsightsAnalysis looks at the State before the write, which then has nothing to do but
// to keep the result: an analysis takes longer than other writes may wait.
func startNetworkInsightsAnalysis(
	c *call, in *wire.StartNetworkInsightsAnalysisRequest,
) (*wire.StartNetworkInsightsAnalysisResult, error) {
	if err := refuseUnsupported(asked("additionalAccount", len(in.AdditionalAccounts) > 0)); err != nil {
		return nil, err
	}
	asked := vpc.NewInsightsAnalysis{
		Path:              vpc.InsightsPathID(wire.Value(in.NetworkInsightsPathId)),
		Through:           in.FilterInArns,
		Without:           in.FilterOutArns,
		TagSpecifications: tagSpecifications(in.TagSpecifications),
		ClientToken:       wire.Value(in.ClientToken),
	}
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	p, through, without, err := s.CheckInsightsAnalysis(asked)
	if err != nil {
		return nil, err
	}
	findings := reachability.Analyze(s, p, reachability.Components{Through: through, Without: without})
	result := vpc.InsightsAnalysis{Revision: s.Revision(), Found: findings.Found()}
	if result.Findings, err = json.Marshal(findings); err != nil {
		return nil, fmt.Errorf("encode findings: %w", err)
	}
	var out *wire.StartNetworkInsightsAnalysisResult
	err = c.update(func(s *vpc.State) (vpc.Change, error) {
		a, change, err := s.StartInsightsAnalysis(c.env, asked, result)
		if err != nil {
			return change, err
		}
		out = &wire.StartNetworkInsightsAnalysisResult{NetworkInsightsAnalysis: startedAnalysis(s, a)}
		return change, nil
	})
	return out, err
}

// startedAnalysis is an analysis without its result.
func startedAnalysis(s *vpc.State, a *vpc.InsightsAnalysis) *wire.NetworkInsightsAnalysis {
	return &wire.NetworkInsightsAnalysis{
		FilterInArns:               a.Through,
		FilterOutArns:              a.Without,
		NetworkInsightsAnalysisArn: text(s.ARN(string(a.ID))),
		NetworkInsightsAnalysisId:  text(a.ID),
		NetworkInsightsPathId:      text(a.Path),
		StartDate:                  &a.Started,
		Status:                     new(vpc.InsightsRunning),
		Tags:                       tagSet(a.Tags),
	}
}

func deleteNetworkInsightsAnalysis(
	c *call, in *wire.DeleteNetworkInsightsAnalysisRequest,
) (*wire.DeleteNetworkInsightsAnalysisResult, error) {
	err := c.update(func(s *vpc.State) (vpc.Change, error) {
		return s.DeleteInsightsAnalysis(vpc.InsightsAnalysisID(wire.Value(in.NetworkInsightsAnalysisId)))
	})
	return &wire.DeleteNetworkInsightsAnalysisResult{NetworkInsightsAnalysisId: in.NetworkInsightsAnalysisId}, err
}

func describeNetworkInsightsAnalyses(
	c *call, in *wire.DescribeNetworkInsightsAnalysesRequest,
) (*wire.DescribeNetworkInsightsAnalysesResult, error) {
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	analyses, next, err := s.DescribeInsightsAnalyses(vpc.InsightsAnalysisQuery{
		IDs:     ids[vpc.InsightsAnalysisID](in.NetworkInsightsAnalysisIds),
		Path:    vpc.InsightsPathID(wire.Value(in.NetworkInsightsPathId)),
		After:   in.AnalysisStartTime,
		Before:  in.AnalysisEndTime,
		Filters: filters(in.Filters),
		Page:    page(in.MaxResults, in.NextToken),
	})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeNetworkInsightsAnalysesResult{
		NetworkInsightsAnalyses: []wire.NetworkInsightsAnalysis{}, NextToken: token(next),
	}
	for _, a := range analyses {
		w, err := insightsAnalysis(s, a)
		if err != nil {
			return nil, err
		}
		out.NetworkInsightsAnalyses = append(out.NetworkInsightsAnalyses, *w)
	}
	return out, nil
}

// insightsAnalysis is an analysis with its result.
func insightsAnalysis(s *vpc.State, a *vpc.InsightsAnalysis) (*wire.NetworkInsightsAnalysis, error) {
	var f reachability.Findings
	if err := json.Unmarshal(a.Findings, &f); err != nil {
		return nil, fmt.Errorf("read the findings of %s: %w", a.ID, err)
	}
	w := startedAnalysis(s, a)
	w.Status = new(vpc.InsightsSucceeded)
	w.NetworkPathFound = &a.Found
	w.ForwardPathComponents = pathComponents(s, f.Forward)
	w.ReturnPathComponents = pathComponents(s, f.Return)
	for _, e := range f.Explanations {
		w.Explanations = append(w.Explanations, explanation(s, e))
	}
	return w, nil
}
