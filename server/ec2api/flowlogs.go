package ec2api

func (a *api) flowLogActions() {}
