package storetest

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// Cluster starts an etcd cluster of n members on loopback, with the limits that a store asks for, and
// returns their endpoints and a function that stops one of them. It ends with the test.
func Cluster(t testing.TB, n int) (endpoints []string, stop func(member int)) {
	t.Helper()
	var clients, peers []url.URL
	var initial []string
	for i := range n {
		clients, peers = append(clients, freeURL(t)), append(peers, freeURL(t))
		initial = append(initial, fmt.Sprintf("m%d=%s", i, peers[i].String()))
		endpoints = append(endpoints, clients[i].String())
	}
	members := make([]*embed.Etcd, n)
	stopped := make([]bool, n)
	stop = func(member int) {
		if members[member] != nil && !stopped[member] {
			stopped[member] = true
			members[member].Close()
		}
	}
	for i := range n {
		c := embed.NewConfig()
		c.Name, c.Dir = fmt.Sprint("m", i), t.TempDir()
		c.ListenClientUrls, c.AdvertiseClientUrls = clients[i:i+1], clients[i:i+1]
		c.ListenPeerUrls, c.AdvertisePeerUrls = peers[i:i+1], peers[i:i+1]
		c.InitialCluster = strings.Join(initial, ",")
		c.MaxTxnOps, c.MaxRequestBytes = 4096, 8<<20
		c.LogLevel, c.LogOutputs = "panic", []string{"/dev/null"}
		var err error
		if members[i], err = embed.StartEtcd(c); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(i) })
	}
	for i, m := range members {
		select {
		case <-m.Server.ReadyNotify():
		case err := <-m.Err():
			t.Fatalf("member %d: %v", i, err)
		case <-time.After(time.Minute):
			t.Fatalf("member %d is not ready after a minute", i)
		}
	}
	return endpoints, stop
}

func freeURL(t testing.TB) url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}
}
