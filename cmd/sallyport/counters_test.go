package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

// TestCounters asks a server without hosts: what nobody hit is listed, and observing is a write like
// any other.
func TestCounters(t *testing.T) {
	l := startLone(t)
	var rules wire.DescribeRuleCountersResult
	if err := json.Unmarshal([]byte(l.ok("rule-counters", "--unused", "--output", "json")), &rules); err != nil {
		t.Fatal(err)
	}
	if len(rules.RuleCounters) != 2 {
		t.Fatalf("rule-counters: got %+v, want the default group's two rules", rules)
	}
	group := wire.Value(rules.RuleCounters[0].GroupId)
	lines := strings.Split(l.ok("describe-rule-counters", group), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "RULE ") || !strings.Contains(lines[1], group) || !strings.HasSuffix(lines[1], " 0") {
		t.Errorf("rule-counters %s: got %q", group, lines)
	}
	l.refused("InvalidSecurityGroupRuleId.NotFound", "rule-counters", "sgr-0123456789abcdef0")
	if got := l.ok("drops"); !strings.HasPrefix(got, "ENI ") || strings.Count(got, "\n") != 1 {
		t.Errorf("drops without interfaces: got %q", got)
	}
	l.refused("InvalidNetworkInterfaceID.NotFound", "drops", "eni-0123456789abcdef0")
	if got := l.ok("connections", "--output", "json"); !strings.Contains(got, `"Connections": []`) || strings.Contains(got, `"UnansweredHosts": null`) {
		t.Errorf("connections as JSON: got %s, want lists without members as []", got)
	}

	if got := l.ok("observe"); strings.Count(got, "\n") != 1 {
		t.Errorf("observe: got %q, want nothing", got)
	}
	if got := l.ok("observe", "start", group, "--for", "8h"); !strings.Contains(got, group+"  20") {
		t.Errorf("observe start: got %q", got)
	}
	if got := l.ok("observe"); !strings.Contains(got, group) {
		t.Errorf("observe: got %q, want %s", got, group)
	}
	l.refused("InvalidParameterValue", "observe", "start", group, "--for", "721h")
	if got := l.ok("observe", "stop", group); !strings.Contains(got, group+"  -") {
		t.Errorf("observe stop: got %q", got)
	}
	if got := l.ok("audit", "--action", "ModifyObservation"); strings.Count(got, "\n") != 4 || !strings.Contains(got, "InvalidParameterValue") {
		t.Errorf("audit: got %q, want the three calls", got)
	}
}
