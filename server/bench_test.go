package server_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sallyport/sallyport/server/ec2api/ec2apitest"
)

// benchServer starts a server with groups that have so many rules each, and returns their ids.
func benchServer(b *testing.B, groups, rules int) (addr string, creds aws.Credentials, ids []string) {
	c := config(b, filepath.Join(b.TempDir(), "data"))
	c.Log = nil
	start(b, c)
	creds, err := ec2apitest.Credentials(c.DataDir)
	if err != nil {
		b.Fatal(err)
	}
	client := ec2apitest.New(c.Listen, c.Region, creds)
	defer client.Close()
	call := func(action string, parameters ...string) ec2apitest.Answer {
		a, err := client.Do(b.Context(), ec2apitest.Form(action, parameters...))
		if err != nil || a.Status != http.StatusOK {
			b.Fatalf("%s: %v %s", action, err, a.Body)
		}
		return a
	}
	for g := range groups {
		id := call("CreateSecurityGroup", "GroupName", fmt.Sprint("g", g), "GroupDescription", "d").Text("groupId")
		ids = append(ids, id)
		if rules == 0 {
			continue
		}
		form := []string{"GroupId", id}
		for r := range rules {
			p := fmt.Sprintf("IpPermissions.%d.", r+1)
			form = append(form, p+"IpProtocol", "tcp", p+"FromPort", fmt.Sprint(1000+r), p+"ToPort", fmt.Sprint(1000+r),
				p+"IpRanges.1.CidrIp", fmt.Sprintf("10.%d.%d.0/24", r, g%256))
		}
		call("AuthorizeSecurityGroupIngress", form...)
	}
	return c.Listen, creds, ids
}

// benchCalls sends the nth request from 8 callers over loopback.
func benchCalls(b *testing.B, addr string, creds aws.Credentials, form func(n int64) []byte) {
	var n atomic.Int64
	b.SetParallelism(4) // times GOMAXPROCS; two of them make 8
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		client := ec2apitest.New(addr, "us-east-1", creds)
		defer client.Close()
		for pb.Next() {
			a, err := client.Send(b.Context(), form(n.Add(1)))
			if err != nil || a.Status != http.StatusOK {
				b.Errorf("%v %s", err, a.Body)
				return
			}
		}
	})
}

func BenchmarkDescribeSecurityGroup(b *testing.B) {
	addr, creds, ids := benchServer(b, 100, 60)
	benchCalls(b, addr, creds, func(n int64) []byte {
		return []byte("Action=DescribeSecurityGroups&Version=2016-11-15&GroupId.1=" + ids[n%100])
	})
}

// Groups go from no rule to about 50, and are new when they are full.
func BenchmarkAuthorizeSecurityGroupIngress(b *testing.B) {
	addr, creds, ids := benchServer(b, 1+b.N/50, 0)
	benchCalls(b, addr, creds, func(n int64) []byte {
		return fmt.Appendf(nil, "Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&GroupId=%s&IpPermissions.1.IpProtocol=tcp"+
			"&IpPermissions.1.FromPort=%d&IpPermissions.1.ToPort=%[2]d&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0%%2F8", ids[n/50%int64(len(ids))], n%60000)
	})
}
