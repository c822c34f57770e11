package vpc

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"
)

// AnalysesOfPath yields the analyses of a path.
func (s *State) AnalysesOfPath(id InsightsPathID) iter.Seq[*InsightsAnalysis] {
	return via(s, analysesByPath, string(id), func(nia string) *InsightsAnalysis { return s.InsightsAnalysis(InsightsAnalysisID(nia)) })
}

// InsightsPathQuery selects paths: those with the ids, or all, that pass the filters.
type InsightsPathQuery struct {
	IDs     []InsightsPathID
	Filters []Filter
	Page    Page // of 1 to 100
}

// DescribeInsightsPaths returns the paths in order of creation and the token of the next page. An
// unknown id fails the whole call.
func (s *State) DescribeInsightsPaths(q InsightsPathQuery) ([]*InsightsPath, string, error) {
	match, err := insightsPathFields.Where(s, q.Filters, nil)
	if err != nil {
		return nil, "", err
	}
	paths, err := asked(q.IDs, s.InsightsPaths(), s.findInsightsPath, match)
	if err != nil {
		return nil, "", err
	}
	q.Page.Least = 1
	return paginate(paths, "insights-path", func(p *InsightsPath) string { return createdKey(p.Created, p.ID) }, q.Page)
}

var insightsPathFields = func() Fields[*InsightsPath] {
	f := Fields[*InsightsPath]{
		"source":      func(_ *State, p *InsightsPath) []string { return []string{p.Source} },
		"destination": func(_ *State, p *InsightsPath) []string { return some(p.Destination) },
		"protocol":    func(_ *State, p *InsightsPath) []string { return []string{p.Protocol.String()} },
	}
	ports := func(r [2]int32) []string {
		switch {
		case r == [2]int32{}:
			return nil
		case r[0] == r[1]:
			return []string{fmt.Sprint(r[0])}
		default:
			return []string{fmt.Sprintf("%d-%d", r[0], r[1])}
		}
	}
	for prefix, of := range map[string]func(*InsightsPath) InsightsFilter{
		"filter-at-source.":      func(p *InsightsPath) InsightsFilter { return p.AtSource },
		"filter-at-destination.": func(p *InsightsPath) InsightsFilter { return p.AtDestination },
	} {
		f[prefix+"source-address"] = func(_ *State, p *InsightsPath) []string { return some(of(p).SourceText()) }
		f[prefix+"destination-address"] = func(_ *State, p *InsightsPath) []string { return some(of(p).DestinationText()) }
		f[prefix+"source-port-range"] = func(_ *State, p *InsightsPath) []string { return ports(of(p).SourcePorts) }
		f[prefix+"destination-port-range"] = func(_ *State, p *InsightsPath) []string { return ports(of(p).DestinationPorts) }
	}
	return f
}()

// SourceText returns the address, or the CIDR, as clients write it; "": any.
func (f InsightsFilter) SourceText() string { return blockText(f.Source) }

// DestinationText is as SourceText.
func (f InsightsFilter) DestinationText() string { return blockText(f.Destination) }

func blockText(c netip.Prefix) string {
	switch {
	case !c.IsValid():
		return ""
	case c.IsSingleIP():
		return c.Addr().String()
	default:
		return c.String()
	}
}

// InsightsAnalysisQuery selects analyses: those with the ids, or all, that pass the rest.
type InsightsAnalysisQuery struct {
	IDs           []InsightsAnalysisID
	Path          InsightsPathID // "": of any
	After, Before *time.Time     // of their start; nil: no bound
	Filters       []Filter
	Page          Page // of 1 to 100
}

// DescribeInsightsAnalyses returns the analyses in order of their start and the token of the next
// page. An unknown id fails the whole call.
func (s *State) DescribeInsightsAnalyses(q InsightsAnalysisQuery) ([]*InsightsAnalysis, string, error) {
	match, err := insightsAnalysisFields.Where(s, q.Filters, nil)
	if err != nil {
		return nil, "", err
	}
	all := s.InsightsAnalyses()
	if q.Path != "" {
		if _, err := s.findInsightsPath(q.Path); err != nil {
			return nil, "", err
		}
		all = s.AnalysesOfPath(q.Path)
	}
	found, err := asked(q.IDs, all, s.findInsightsAnalysis, match)
	if err != nil {
		return nil, "", err
	}
	found = slices.DeleteFunc(found, func(a *InsightsAnalysis) bool {
		return q.Path != "" && a.Path != q.Path || q.After != nil && a.Started.Before(*q.After) || q.Before != nil && a.Started.After(*q.Before)
	})
	q.Page.Least = 1
	return paginate(found, "insights-analysis", func(a *InsightsAnalysis) string { return createdKey(a.Started, a.ID) }, q.Page)
}

var insightsAnalysisFields = Fields[*InsightsAnalysis]{
	"path-found": func(_ *State, a *InsightsAnalysis) []string { return boolean(a.Found) },
	"status":     func(*State, *InsightsAnalysis) []string { return []string{InsightsSucceeded} },
}

// The status of an analysis: it is done when it is started, and said to be running by that answer
// alone, since clients wait for the change.
const (
	InsightsRunning   = "running"
	InsightsSucceeded = "succeeded"
)
