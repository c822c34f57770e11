package vpc

import "strings"

// InterfaceChange is what ModifyNetworkInterfaceAttribute is told: exactly one field is set.
type InterfaceChange struct {
	Groups          []GroupID // replace the interface's
	Description     *string
	SourceDestCheck *bool
	Attachment      *AttachmentChange
	PrimaryIPv6     *bool               // once it is set it stays
	Tracking        *ConnectionTracking // a zero field leaves that timeout as it is
	PublicIPAddress *bool               // there are none: only false can be meant
}

// AttachmentChange changes an attachment.
type AttachmentChange struct {
	ID                  AttachmentID
	DeleteOnTermination bool
}

// ModifyNetworkInterface changes one attribute of an interface.
func (s *State) ModifyNetworkInterface(id InterfaceID, in InterfaceChange) (Change, error) {
	eni, err := s.findInterface(id)
	if err != nil {
		return Change{}, err
	}
	set := 0
	for _, given := range []bool{
		len(in.Groups) > 0, in.Description != nil, in.SourceDestCheck != nil, in.Attachment != nil, in.PrimaryIPv6 != nil,
		in.Tracking != nil && *in.Tracking != ConnectionTracking{}, in.PublicIPAddress != nil,
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
	c := *eni
	if err := s.modify(&c, in); err != nil {
		return Change{}, err
	}
	d := s.draft()
	d.put(&c)
	return d.change(), nil
}

// modify changes one attribute of an interface that is not put yet.
func (s *State) modify(eni *NetworkInterface, in InterfaceChange) (err error) {
	switch {
	case in.Description != nil:
		eni.Description = *in.Description
		return validInterfaceDescription(*in.Description)
	case in.SourceDestCheck != nil:
		eni.SourceDestCheck = *in.SourceDestCheck
	case in.Attachment != nil:
		if err := validAttachmentID(in.Attachment.ID); err != nil {
			return err
		}
		if eni.Attachment == nil || eni.Attachment.ID != in.Attachment.ID {
			return errNoAttachment(in.Attachment.ID)
		}
		a := *eni.Attachment
		a.DeleteOnTermination = in.Attachment.DeleteOnTermination
		eni.Attachment = &a
	case in.PrimaryIPv6 != nil:
		switch {
		case *in.PrimaryIPv6 && len(eni.IPv6) == 0:
			return errNoPrimaryIPv6()
		case !*in.PrimaryIPv6 && eni.PrimaryIPv6:
			return Errorf(CodeOperationNotPermitted,
				"The primary IPv6 address of the network interface '%s' cannot be disabled once it was enabled.", eni.ID)
		}
		eni.PrimaryIPv6 = *in.PrimaryIPv6
	case in.Tracking != nil:
		for _, v := range []struct{ now, asked *int32 }{
			{&eni.Tracking.TCPEstablished, &in.Tracking.TCPEstablished},
			{&eni.Tracking.UDPStream, &in.Tracking.UDPStream},
			{&eni.Tracking.UDP, &in.Tracking.UDP},
		} {
			if *v.asked != 0 {
				*v.now = *v.asked
			}
		}
		return in.Tracking.validate()
	case in.PublicIPAddress != nil:
		if *in.PublicIPAddress {
			return Errorf(CodeUnsupportedOperation, "The value given for parameter associatePublicIpAddress is not supported.")
		}
	default:
		eni.Groups, err = s.groupsFor(eni.VPC, in.Groups, errDifferentNetworks)
	}
	return err
}

// validAttachmentID refuses ids that cannot be of an attachment, and those of services.
func validAttachmentID(id AttachmentID) error {
	if strings.HasPrefix(string(id), "ela-attach-") {
		return Errorf(CodeOperationNotPermitted, "You are not allowed to manage 'ela-attach' attachments.")
	}
	_, err := ParseAttachmentID(string(id))
	return err
}

func errNoPrimaryIPv6() *Error {
	return Errorf(CodeInvalidParameterCombination, "The network interface has no IPv6 address that could be its primary one.")
}

// validate refuses timeouts that EC2 does not allow; 0 is none.
func (t ConnectionTracking) validate() error {
	for _, v := range []struct {
		name            string
		value, min, max int32
	}{
		{"tcpEstablishedTimeout", t.TCPEstablished, 60, 432_000},
		{"udpStreamTimeout", t.UDPStream, 60, 180},
		{"udpTimeout", t.UDP, 30, 60},
	} {
		if v.value != 0 && (v.value < v.min || v.value > v.max) {
			return Errorf(CodeInvalidParameterValue, "Value (%d) for parameter %s is invalid. It must be between %d and %d seconds.",
				v.value, v.name, v.min, v.max)
		}
	}
	return nil
}
