package ec2api

func (a *api) userActions() {}
