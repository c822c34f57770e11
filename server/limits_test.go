package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server"
)

// Clients that stop in the middle, in whatever middle, hold up nobody, and are hung up on.
func TestStalledClients(t *testing.T) {
	c := config(t, filepath.Join(t.TempDir(), "data"))
	const wait = 6 * time.Second
	startLimited(t, c, func(s *server.Server) { s.SetLimits(wait, 4<<20) })
	const header = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n"
	sent := map[string]string{
		"nothing":           "",
		"half a line":       "POST / HT",
		"half a header":     header,
		"no body":           header + "\r\n",
		"some body":         header + "\r\nAction=Desc",
		"long body":         header + "\r\n" + strings.Repeat("x", 500_000), // of which 9 have room
		"chunk":             "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nAct",
		"no TLS, but a try": "\x16\x03\x01\x02\x00\x01\x00\x01",
	}
	type stalled struct {
		what string
		net.Conn
	}
	var all []stalled
	for what, text := range sent {
		for range 40 {
			conn, err := net.Dial("tcp", c.Listen)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
				t.Fatal(err)
			}
			all = append(all, stalled{what, conn})
			go func() { _, _ = io.WriteString(conn, text) }() // the server may hang up before it has all
		}
	}
	begin := time.Now()
	for range 20 {
		start := time.Now()
		if _, err := whoAmI(t, c, http.DefaultClient); err != nil {
			t.Errorf("amid stalled clients: %v", err)
		}
		if took := time.Since(start); took >= wait {
			t.Errorf("amid stalled clients an answer took %v", took)
		}
	}
	if took := time.Since(begin); took > wait {
		t.Logf("the stalled clients were gone before the last of the calls (%v): the machine is slow", took)
	}
	answers := map[string]map[string]int{}
	for _, s := range all {
		b, err := io.ReadAll(s)
		if err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: not hung up on", s.what)
		}
		if answers[s.what] == nil {
			answers[s.what] = map[string]int{}
		}
		code := ""
		if m := regexp.MustCompile(`<Code>(.*)</Code>`).FindSubmatch(b); m != nil {
			code = string(m[1])
		}
		answers[s.what][code]++
	}
	// A refusal may be lost: the server hangs up on what it has not read, and the reset overtakes the answer.
	if n := answers["long body"]; n["RequestLimitExceeded"] == 0 || n["InvalidRequest"] > 9 {
		t.Errorf("the long bodies were answered %v, want room for 9 at most and refusals for others", n)
	}
	if n := answers["some body"]["RequestLimitExceeded"]; n > 0 {
		t.Errorf("%d short bodies were refused for want of room", n)
	}
	// Room comes back.
	res, err := http.Post("http://"+c.Listen+"/", "application/x-www-form-urlencoded", strings.NewReader(strings.Repeat("x", 900_000)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); strings.Contains(string(b), "RequestLimitExceeded") {
		t.Errorf("afterwards there is no room for a long body: %s", b)
	}
}

func scrape(t *testing.T, addr, path string) (status int, text string) {
	t.Helper()
	res, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestMetrics(t *testing.T) {
	c := config(t, filepath.Join(t.TempDir(), "data"))
	c.MetricsListen = freeAddr(t)
	start(t, c)
	if _, err := whoAmI(t, c, http.DefaultClient); err != nil {
		t.Fatal(err)
	}
	if status, _ := scrape(t, c.Listen, "/?Action=DescribeVpcs&Version=2016-11-15"); status != http.StatusForbidden {
		t.Errorf("unsigned: %d", status)
	}
	_, text := scrape(t, c.MetricsListen, "/metrics")
	for _, want := range []string{
		`sallyport_ec2api_requests_total{action="GetCallerIdentity",code="OK"} 1`,
		`sallyport_ec2api_requests_total{action="",code="MissingAuthenticationToken"} 1`,
		`sallyport_ec2api_request_duration_seconds_count{action="GetCallerIdentity"} 1`,
		`sallyport_store_objects{kind="vpc"} 1`,
		`sallyport_store_objects{kind="user"} 1`,
		`sallyport_feed_hosts 0`,
		`sallyport_store_revision \d+`,
		`etcd_mvcc_db_total_size_in_bytes [\d.e+]+`,
		`go_goroutines \d+`,
		`process_resident_memory_bytes [\d.e+]+`,
	} {
		if !strings.Contains(text, want) && !regexp.MustCompile("(?m)^"+want+"$").MatchString(text) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(text, "AKIA") || strings.Contains(text, "sg-") || strings.Contains(text, "vpc-0") {
		t.Error("the metrics name identifiers")
	}
	if status, _ := scrape(t, c.MetricsListen, "/debug/pprof/goroutine?debug=1"); status != http.StatusOK {
		t.Errorf("profiles on loopback: %d", status)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if status, _ := scrape(t, c.Listen, path); status != http.StatusNotFound {
			t.Errorf("%s on the API's own address: %d", path, status)
		}
	}
}

func TestProfilesAreForLoopback(t *testing.T) {
	c := config(t, filepath.Join(t.TempDir(), "data"))
	_, port, _ := net.SplitHostPort(freeAddr(t))
	c.MetricsListen = "0.0.0.0:" + port
	start(t, c)
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 404, "/debug/pprof/heap": 404} {
		if status, _ := scrape(t, fmt.Sprint("127.0.0.1:", port), path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

// A page in a browser on the server's machine reaches loopback: by a name of its own that leads there, or
// without seeing the answer.
func TestProfilesAreNotForPages(t *testing.T) {
	c := config(t, filepath.Join(t.TempDir(), "data"))
	c.MetricsListen = freeAddr(t)
	start(t, c)
	for _, tt := range []struct {
		host, site string
		want       int
	}{
		{c.MetricsListen, "", 200},
		{"localhost", "none", 200},
		{"[::1]:1", "same-origin", 200},
		{"evil.example", "", 403},
		{"evil.example:80", "same-origin", 403},
		{c.MetricsListen, "cross-site", 403},
		{c.MetricsListen, "same-site", 403},
	} {
		r, err := http.NewRequest(http.MethodGet, "http://"+c.MetricsListen+"/debug/pprof/cmdline", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tt.host
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != tt.want {
			t.Errorf("Host %s, Sec-Fetch-Site %q: %d, want %d", tt.host, tt.site, res.StatusCode, tt.want)
		}
	}
}
