package vpc

import (
	"fmt"
	"slices"
	"strings"
)

// WarningLevel says how much a rule lets in that nobody may have meant.
type WarningLevel string

// The levels.
const (
	WarningSevere WarningLevel = "severe"  // the world reaches a service that is attacked all the time
	WarningOpen   WarningLevel = "warning" // the world reaches something
	WarningEgress WarningLevel = "info"    // the members reach the world
)

const attackedAdvice = "Scanners find it within minutes. Allow only addresses that you know."

// RuleWarning is about a rule that is open to the world.
type RuleWarning struct {
	Row     string // see RuleChange; "": the edit does not name the rule
	Rule    RuleID // "": it is new
	Level   WarningLevel
	Message string
}

// attacked are the services that nobody opens to the world on purpose: remote administration, files and
// databases.
var attacked = []struct {
	name     string
	protocol Protocol
	from, to int32
}{
	{"FTP", TCP, 20, 21},
	{"SSH", TCP, 22, 22},
	{"Telnet", TCP, 23, 23},
	{"NetBIOS", TCP, 137, 139},
	{"NetBIOS", UDP, 137, 139},
	{"SMB", TCP, 445, 445},
	{"MSSQL", TCP, 1433, 1433},
	{"MSSQL", UDP, 1434, 1434},
	{"Oracle", TCP, 1521, 1521},
	{"NFS", TCP, 2049, 2049},
	{"MySQL", TCP, 3306, 3306},
	{"RDP", TCP, 3389, 3389},
	{"RDP", UDP, 3389, 3389},
	{"PostgreSQL", TCP, 5432, 5432},
	{"Redshift", TCP, 5439, 5439},
	{"WinRM", TCP, 5985, 5986},
	{"Redis", TCP, 6379, 6379},
	{"Cassandra", TCP, 9042, 9042},
	{"Elasticsearch", TCP, 9200, 9200},
	{"Memcached", TCP, 11211, 11211},
	{"Memcached", UDP, 11211, 11211},
	{"MongoDB", TCP, 27017, 27017},
}

// ruleWarnings looks at what the rules will be.
func (s *State) ruleWarnings(e *ruleEditing) []RuleWarning {
	var out []RuleWarning
	for i, r := range e.rules {
		who := s.world(r.Peer)
		if who == "" {
			continue
		}
		w := RuleWarning{Row: e.rows[i], Rule: r.ID}
		names := attackedBy(r)
		switch {
		case r.Egress:
			w.Level, w.Message = WarningEgress, fmt.Sprintf("Members may send to %s. Allow only destinations that they need.", who)
		case r.Protocol == AllProtocols:
			w.Level, w.Message = WarningSevere, fmt.Sprintf(
				"%s may reach everything: all ports of all protocols, SSH, RDP and databases among them. %s", upperFirst(who), attackedAdvice)
		case len(names) > 0:
			w.Level, w.Message = WarningSevere, fmt.Sprintf("%s may reach %s. %s", upperFirst(who), enumerate(names), attackedAdvice)
		default:
			w.Level, w.Message = WarningOpen, fmt.Sprintf(
				"%s may reach this. If it is not meant for everybody, allow only addresses that you know.", upperFirst(who))
		}
		out = append(out, w)
	}
	return out
}

// world says in words that a peer is everybody, "" if it is not.
func (s *State) world(p Peer) string {
	switch p.CIDR {
	case anyIPv4:
		return "every IPv4 address"
	case anyIPv6:
		return "every IPv6 address"
	}
	for _, entry := range s.PrefixListEntries(p.PrefixList) {
		if entry.CIDR.Bits() == 0 {
			return fmt.Sprintf("every address (by %s, which holds %s)", p.PrefixList, entry.CIDR)
		}
	}
	return ""
}

// attackedBy returns the names of the services that a rule opens, each once.
func attackedBy(r Rule) (names []string) {
	for _, a := range attacked {
		if r.Protocol == a.protocol && r.From <= a.to && a.from <= r.To && !slices.Contains(names, a.name) {
			names = append(names, a.name)
		}
	}
	return names
}

// enumerate writes a list as prose, of a long one the beginning.
func enumerate(names []string) string {
	const most = 4
	switch n := len(names); {
	case n == 1:
		return names[0]
	case n > most:
		return fmt.Sprintf("%s and %d other services that are attacked often", strings.Join(names[:most], ", "), n-most)
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
