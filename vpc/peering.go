package vpc

func (s *State) findPeering(id PeeringID) (*PeeringConnection, error) {
	if _, err := ParsePeeringID(string(id)); err != nil {
		return nil, err
	}
	if p := s.Peering(id); p != nil {
		return p, nil
	}
	return nil, Errorf(CodeInvalidVpcPeeringConnectionIDNotFound, "The vpcPeeringConnection ID '%s' does not exist", id)
}
