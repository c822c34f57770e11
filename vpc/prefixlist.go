package vpc

func (s *State) findPrefixList(id PrefixListID) (*PrefixList, error) {
	if _, err := ParsePrefixListID(string(id)); err != nil {
		return nil, err
	}
	if l := s.PrefixList(id); l != nil {
		return l, nil
	}
	return nil, Errorf(CodeInvalidPrefixListIDNotFound, "The prefix list ID '%s' does not exist", id)
}
