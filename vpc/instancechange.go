package vpc

import "regexp"

// InstanceChange is what ModifyInstanceAttribute is told: exactly one field is set.
type InstanceChange struct {
	Groups                []GroupID // replace those of the instance's only interface
	SourceDestCheck       *bool     // of the instance's only interface
	DisableAPITermination *bool
	DisableAPIStop        *bool
	TerminateOnShutdown   *bool
	Type                  *string // of a stopped instance
	UserData              *[]byte // of a stopped instance, decoded; runs at its next start
}

// ModifyInstance changes one attribute of an instance.
func (s *State) ModifyInstance(id InstanceID, in InstanceChange) (Change, error) {
	i, err := s.findInstance(id)
	if err != nil {
		return Change{}, err
	}
	set := 0
	for _, given := range []bool{
		len(in.Groups) > 0, in.SourceDestCheck != nil, in.DisableAPITermination != nil, in.DisableAPIStop != nil,
		in.TerminateOnShutdown != nil, in.Type != nil, in.UserData != nil,
	} {
		if given {
			set++
		}
	}
	switch {
	case set == 0:
		return Change{}, errNoAttributes()
	case set > 1:
		return Change{}, errManyAttributes()
	}
	d := s.draft()
	if len(in.Groups) > 0 || in.SourceDestCheck != nil {
		err = d.modifyInstanceInterface(i, in)
	} else {
		err = d.modifyInstance(i, in)
	}
	if err != nil {
		return Change{}, err
	}
	return d.change(), nil
}

// modifyInstance changes what is the instance's own.
func (d *draft) modifyInstance(i *Instance, in InstanceChange) error {
	c := *i
	switch {
	case in.DisableAPITermination != nil:
		c.DisableAPITermination = *in.DisableAPITermination
	case in.DisableAPIStop != nil:
		c.DisableAPIStop = *in.DisableAPIStop
	case in.TerminateOnShutdown != nil:
		c.TerminateOnShutdown = *in.TerminateOnShutdown
	case i.State != Stopped:
		return Errorf(CodeIncorrectInstanceState, "The instance '%s' is not in the 'stopped' state.", i.ID)
	case in.Type != nil:
		if !validInstanceType(*in.Type) {
			return errInstanceType(*in.Type)
		}
		c.Type = *in.Type
	default:
		switch {
		case i.Image == ImageExternal:
			return errExternal(i, "given user data")
		case len(*in.UserData) > maxUserData:
			return errUserData()
		}
		c.UserData = *in.UserData
	}
	d.put(&c)
	return nil
}

// modifyInstanceInterface changes what is shown of the instance and is its interface's.
func (d *draft) modifyInstanceInterface(i *Instance, in InstanceChange) error {
	if i.State != Running && i.State != Stopped {
		return Errorf(CodeIncorrectInstanceState, "The instance '%s' is not in the 'running' or 'stopped' state.", i.ID)
	}
	enis := d.InterfacesByIndex(i.ID)
	switch {
	case len(enis) > 1:
		return Errorf(CodeInvalidInstanceID, "There are multiple interfaces attached to instance '%s'. "+
			"Please specify an interface ID for the operation instead.", i.ID)
	case len(enis) == 0:
		return Errorf(CodeInvalidInstanceID, "There is no interface attached to instance '%s'.", i.ID)
	}
	c := *enis[0]
	if in.SourceDestCheck != nil {
		c.SourceDestCheck = *in.SourceDestCheck
	} else {
		groups, err := d.groupsFor(c.VPC, in.Groups, errDifferentNetworks)
		if err != nil {
			return ofInstance(err)
		}
		c.Groups = groups
	}
	d.put(&c)
	return nil
}

func errUserData() *Error {
	return Errorf(CodeInvalidParameterValue, "User data is limited to 16384 bytes")
}

// instanceTypeForm is what an instance type looks like: a family, a dot and a size.
var instanceTypeForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}\.[a-z0-9-]{1,31}$`)

func validInstanceType(name string) bool { return instanceTypeForm.MatchString(name) }

func errInstanceType(name string) *Error {
	return Errorf(CodeInvalidParameterValue, "Invalid value '%s' for InstanceType.", name)
}
