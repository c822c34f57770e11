package store_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sallyport/sallyport/server/ec2api/ec2apitest"
	"github.com/sallyport/sallyport/server/store"
	"github.com/sallyport/sallyport/vpc"
)

// writer makes calls of the API whose effects can be counted.
type writer struct {
	t             *testing.T
	c             *ec2apitest.Client
	group, subnet string
	n             int
	calls         []call
}

// write makes one call: a rule, a group, a tag or an interface that nobody else makes, by turns.
func (w *writer) write() call {
	w.n++
	n := fmt.Sprint(w.n)
	var a ec2apitest.Answer
	var err error
	c := call{}
	switch w.n % 4 {
	case 0:
		c.what = "rule " + n
		a, err = w.c.Do(context.Background(), ec2apitest.Form("AuthorizeSecurityGroupIngress", "GroupId", w.group,
			"IpPermissions.1.IpProtocol", "tcp", "IpPermissions.1.FromPort", n, "IpPermissions.1.ToPort", n,
			"IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"))
	case 1:
		c.what = "group " + n
		a, err = w.c.Do(context.Background(), ec2apitest.Form("CreateSecurityGroup", "GroupName", n, "GroupDescription", n))
	case 2:
		c.what = "interface " + n
		a, err = w.c.Do(context.Background(), ec2apitest.Form("CreateNetworkInterface", "SubnetId", w.subnet, "Description", n))
	case 3:
		c.what = "list " + n
		a, err = w.c.Do(context.Background(), ec2apitest.Form("CreateManagedPrefixList", "PrefixListName", n, "AddressFamily", "IPv4", "MaxEntries", "1"))
	}
	if err != nil {
		w.t.Fatalf("%s: %v", c.what, err)
	}
	c.status, c.code, c.revision = a.Status, a.Code(), a.Revision
	w.calls = append(w.calls, c)
	return c
}

// untruths holds what the callers were told against what happened.
func (w *writer) untruths(history []revision) (found []string) {
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	made := map[string]int64{} // by what: the revision since which it is there
	ids := map[string]string{}
	for _, r := range history {
		count := map[string]int{}
		note := func(what, id string) {
			count[what]++
			if made[what] == 0 {
				made[what], ids[what] = r.number, id
			}
			if count[what] > 1 || ids[what] != id {
				report("done twice: %s is %s and, at revision %d, %s", what, ids[what], r.number, id)
			}
		}
		for _, o := range r.after {
			switch o := o.(type) {
			case *vpc.SecurityGroup:
				note("group "+o.Name, string(o.ID))
				for _, rule := range o.Rules {
					if !rule.Egress && string(o.ID) == w.group {
						note(fmt.Sprint("rule ", rule.From), string(rule.ID))
					}
				}
			case *vpc.NetworkInterface:
				note("interface "+o.Description, string(o.ID))
			case *vpc.PrefixList:
				note("list "+o.Name, string(o.ID))
			}
		}
	}
	for _, c := range w.calls {
		switch at := made[c.what]; {
		case c.status == http.StatusOK && at != c.revision:
			report("%s was acknowledged at %d, and happened at %d", c.what, c.revision, at)
		case c.status != http.StatusOK && c.code != string(vpc.CodeInternalError):
			report("%s: nothing is wrong with it, but the answer is %d %s (it happened at %d)", c.what, c.status, c.code, at)
		}
	}
	return found
}

func newWriter(t *testing.T, s *store.Store) *writer {
	t.Helper()
	install(t, s, nil)
	w := &writer{t: t, c: newClient(t, serveAPI(t, s))}
	w.group = must(t, w.c, "CreateSecurityGroup", "GroupName", "first", "GroupDescription", "d").Text("groupId")
	w.subnet = must(t, w.c, "DescribeSubnets").Text("subnetId")
	return w
}

// Each fault, at each request that a call makes to etcd: the caller gets the answer, as if nothing had
// been, and the call is carried out once.
func TestCallSurvivesAFaultAtEveryPoint(t *testing.T) {
	eachFault(t, 70*time.Millisecond, 20*time.Second, func(t *testing.T, s *store.Store, l *line, win *window, endpoint string) {
		w := newWriter(t, s)
		for first := range int64(4) {
			for _, length := range []int64{0, 2} {
				win.open(l, first, first+length)
				for range 4 {
					if c := w.write(); c.status != http.StatusOK {
						t.Errorf("%s, requests %d to %d are lost: %d %s", c.what, first, first+length, c.status, c.code)
					}
				}
				l.settle()
			}
		}
		win.close()
		for _, v := range w.untruths(replay(t, []string{endpoint})) {
			t.Error(v)
		}
	})
}

// While etcd is away the answer is InternalError, never that the caller is wrong; whether the call was
// carried out shows afterwards, and it was once at most.
func TestCallWhileEtcdIsAway(t *testing.T) {
	eachFault(t, 500*time.Millisecond, 300*time.Millisecond, func(t *testing.T, s *store.Store, l *line, win *window, endpoint string) {
		w := newWriter(t, s)
		for first := range int64(3) {
			win.open(l, first, 1<<40)
			failed := 0
			for i := 0; i < 3 || int64(i) <= first; i++ {
				if c := w.write(); c.status == http.StatusInternalServerError {
					failed++
				}
			}
			win.close()
			if failed == 0 {
				t.Error("no call failed while etcd was away")
			}
			for done := 0; done < 3; { // the machine may be slow
				if c := w.write(); c.status == http.StatusOK {
					done++
				}
			}
			l.settle()
		}
		for _, v := range w.untruths(replay(t, []string{endpoint})) {
			t.Error(v)
		}
	})
}

// A server that does not recognise its own commits tells callers that they are wrong, and does things
// twice.
func TestCallBrokenVariant(t *testing.T) {
	var lost atomic.Bool
	l := &line{change: withoutMarker, next: func(n int64, op clientv3.Op) fault {
		if lost.Load() && commits(op) && n%2 == 0 {
			return dropAnswer
		}
		return none
	}}
	s, endpoint := connected(t, l, store.Options{Timeout: 500 * time.Millisecond})
	w := newWriter(t, s)
	lost.Store(true)
	for range 16 {
		w.write()
	}
	found := w.untruths(replay(t, []string{endpoint}))
	for _, want := range []string{"nothing is wrong with it", "done twice"} {
		if !slices.ContainsFunc(found, func(v string) bool { return strings.Contains(v, want) }) {
			t.Errorf("none of %d says %q: %q", len(found), want, found)
		}
	}
}
