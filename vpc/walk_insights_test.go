package vpc_test

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/vpc"
)

// insightsStep takes an action that has to do with network insights.
func (w *walk) insightsStep(from, to vpc.InterfaceID) (string, vpc.Change, error) {
	path := pick(w, slices.Collect(w.InsightsPaths()), func(p *vpc.InsightsPath) vpc.InsightsPathID { return p.ID }, "nip-12345678")
	token := fmt.Sprint(w.r.IntN(30)) // now and then one that was used
	switch w.r.IntN(4) {
	case 0:
		_, c, err := w.CreateInsightsPath(w.env, vpc.NewInsightsPath{
			Source: string(from), Destination: string(to), Protocol: "tcp", ClientToken: token,
		})
		return "ask", c, err
	case 1:
		_, c, err := w.StartInsightsAnalysis(w.env, vpc.NewInsightsAnalysis{Path: path, ClientToken: token}, vpc.InsightsAnalysis{
			Revision: w.Revision(), Findings: []byte("{}"),
		})
		return "analyse", c, err
	case 2:
		c, err := w.DeleteInsightsPath(path)
		return "delete path", c, err
	default:
		analyses := slices.Collect(w.InsightsAnalyses())
		c, err := w.DeleteInsightsAnalysis(pick(w, analyses, func(a *vpc.InsightsAnalysis) vpc.InsightsAnalysisID { return a.ID }, "nia-12345678"))
		return "delete analysis", c, err
	}
}

// insightsInvariants returns what is wrong with the paths and analyses of a State.
func insightsInvariants(s *vpc.State) (wrong []string) {
	tokens := map[string]bool{}
	once := func(kind vpc.Kind, token string) {
		if k := string(kind) + token; tokens[k] {
			wrong = append(wrong, fmt.Sprintf("two objects of kind %s have the token %s", kind, token))
		} else {
			tokens[k] = true
		}
	}
	for p := range s.InsightsPaths() {
		once(vpc.KindInsightsPath, p.ClientToken)
		if p.Source == p.Destination {
			wrong = append(wrong, fmt.Sprintf("%s goes from %s to itself", p.ID, p.Source))
		}
	}
	for a := range s.InsightsAnalyses() {
		once(vpc.KindInsightsAnalysis, a.ClientToken)
		if s.InsightsPath(a.Path) == nil {
			wrong = append(wrong, fmt.Sprintf("%s is of %s, which is gone", a.ID, a.Path))
		}
	}
	return wrong
}
