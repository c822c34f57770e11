package ec2api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Many clients at the limit of a quota get exactly as much as there is.
func TestQuotasAreExact(t *testing.T) {
	e := newEndpoint(t)
	const clients = 64
	group := e.state().DefaultGroup(e.state().Installation().DefaultVPC).ID
	for _, tt := range []struct {
		quota string
		limit int // what there is already, and room for 10
		call  func(i int) url.Values
		full  string
	}{
		{"security-groups-per-region", 11, func(i int) url.Values {
			return url.Values{"Action": {"CreateSecurityGroup"}, "GroupName": {fmt.Sprint("g", i)}, "GroupDescription": {"d"}}
		}, "SecurityGroupLimitExceeded"},
		{"rules-per-security-group", 11, func(i int) url.Values { // the group names itself
			return url.Values{
				"Action": {"AuthorizeSecurityGroupIngress"}, "GroupId": {string(group)}, "IpPermissions.1.IpProtocol": {"-1"},
				"IpPermissions.1.IpRanges.1.CidrIp": {fmt.Sprintf("10.0.%d.0/24", i)},
			}
		}, "RulesPerSecurityGroupLimitExceeded"},
	} {
		set := e.call(url.Values{"Action": {"ModifyQuota"}, "QuotaName": {tt.quota}, "Value": {fmt.Sprint(tt.limit)}})
		if set.status != http.StatusOK {
			t.Fatalf("set %s: got %d\n%s", tt.quota, set.status, set.body)
		}
		answers := make([]answer, clients)
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() { answers[i] = e.call(tt.call(i)) })
		}
		wg.Wait()
		got := 0
		for _, a := range answers {
			if a.status == http.StatusOK {
				got++
			} else if a.status != http.StatusBadRequest || !strings.Contains(a.body, "<Code>"+tt.full+"</Code>") {
				t.Errorf("%s: got %d\n%s", tt.quota, a.status, a.body)
			}
		}
		if got != 10 {
			t.Errorf("%s: %d of %d calls got through, want 10", tt.quota, got, clients)
		}
	}
}
