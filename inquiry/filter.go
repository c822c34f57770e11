package inquiry

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
	"github.com/sallyport/sallyport/vpc"
)

const maxFilterValues = 200 // on a single call, as in EC2

// conditions reads the values of each filter into a Selection.
var conditions = map[string]func(*Selection, string) error{
	"direction": func(s *Selection, text string) error {
		for _, d := range []ruleset.Direction{ruleset.Ingress, ruleset.Egress} {
			if d.String() == text {
				s.Directions = append(s.Directions, d)
				return nil
			}
		}
		return errFilterValue("direction", text)
	},
	"local-port": func(s *Selection, text string) (err error) {
		s.LocalPorts, err = addPorts(s.LocalPorts, "local-port", text)
		return err
	},
	"protocol": func(s *Selection, text string) error {
		p, err := vpc.ParseProtocol(text)
		if err != nil || p == vpc.AllProtocols {
			return errFilterValue("protocol", text)
		}
		s.Protocols = append(s.Protocols, uint8(p))
		return nil
	},
	"remote-cidr": func(s *Selection, text string) error {
		p, err := netip.ParsePrefix(text)
		if a, aErr := netip.ParseAddr(text); aErr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			return errFilterValue("remote-cidr", text)
		}
		s.Remotes = append(s.Remotes, p.Masked())
		return nil
	},
	"remote-port": func(s *Selection, text string) (err error) {
		s.RemotePorts, err = addPorts(s.RemotePorts, "remote-port", text)
		return err
	},
	"rule-number": func(s *Selection, text string) error {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n == 0 {
			return errFilterValue("rule-number", text)
		}
		s.Rules = append(s.Rules, uint32(n))
		return nil
	},
	"state": func(s *Selection, text string) error {
		i := slices.IndexFunc(States(), func(state State) bool { return state.String() == text })
		if i < 0 {
			return errFilterValue("state", text)
		}
		s.States = append(s.States, States()[i])
		return nil
	},
}

// AddFilters reads the filters of a call into the Selection. A refusal is a *vpc.Error.
func (s *Selection) AddFilters(filters []vpc.Filter) error {
	n := 0
	for i, f := range filters {
		add := conditions[f.Name]
		switch n += len(f.Values); {
		case n > maxFilterValues:
			return vpc.Errorf(vpc.CodeFilterLimitExceeded, "The maximum number of filter values specified on a single call is %d", maxFilterValues)
		case add == nil:
			return vpc.Errorf(vpc.CodeInvalidParameterValue, "The filter '%s' is invalid", f.Name)
		case len(f.Values) == 0: // never "everything": the caller may be about to end them
			return vpc.Errorf(vpc.CodeMissingParameter, "The request must contain the parameter Filter.%d.Value", i+1)
		case slices.ContainsFunc(filters[:i], func(g vpc.Filter) bool { return g.Name == f.Name }):
			return vpc.Errorf(vpc.CodeInvalidParameterValue, "The filter '%s' must not appear multiple times", f.Name)
		}
		for _, v := range f.Values {
			if err := add(s, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// addPorts reads a port, or two with a dash between them.
func addPorts(to []Ports, name, text string) ([]Ports, error) {
	from, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = from
	}
	a, err := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(last, 10, 16)
	if err != nil || err2 != nil || a > b {
		return nil, errFilterValue(name, text)
	}
	return append(to, Ports{uint16(a), uint16(b)}), nil
}

func errFilterValue(name, value string) *vpc.Error {
	return vpc.Errorf(vpc.CodeInvalidParameterValue, "The value '%s' of the filter '%s' is invalid", value, name)
}
