package vpc

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
