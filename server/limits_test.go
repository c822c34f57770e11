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

// stalled is a client that stops in the middle.
type stalled struct {
	what string
	net.Conn
	answer chan []byte // all of it, once the server has hung up; nil: it never did
}

// stall makes clients that stop in whatever middle.
func stall(t *testing.T, c server.Config, ofEach int) (all []stalled) {
	t.Helper()
	const header = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n"
	for what, text := range map[string]string{
		"nothing":           "",
		"half a line":       "POST / HT",
		"half a header":     header,
		"no body":           header + "\r\n",
		"some body":         header + "\r\nAction=Desc",
		"long body":         header + "\r\n" + strings.Repeat("x", 990_000),
		"chunk":             "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nAct",
		"no TLS, but a try": "\x16\x03\x01\x02\x00\x01\x00\x01",
	} {
		for range ofEach {
			conn, err := net.Dial("tcp", c.Listen)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			s := stalled{what, conn, make(chan []byte, 1)}
			all = append(all, s)
			go func() { _, _ = io.WriteString(conn, text) }() // the server may hang up before it has all
			go func() {
				b, _ := io.ReadAll(conn) // an answer may be lost to a reset
				s.answer <- b
			}()
		}
	}
	return all
}

// room is what the bodies of all requests may have, which is enough for 4 of the long ones.
const room = 4 << 20

// Clients that stop in the middle, in whatever middle, hold up nobody, though nobody hangs up on them. What is too much
// at once is refused.
func TestStalledClients(t *testing.T) {
	c := config(t, filepath.Join(t.TempDir(), "data"))
	startLimited(t, c, func(s *server.Server) { s.SetLimits(time.Hour, room) })
	const each = 40
	const refused = each / 4 // Many more are: the server says so once it has waited for the end of a body that is near it.
	all := stall(t, c, each)
	for range 20 {
		if _, err := whoAmI(t, c, http.DefaultClient); err != nil {
			t.Errorf("amid stalled clients: %v", err)
		}
	}
	answers := make(chan []byte, each)
	for _, s := range all {
		if s.what == "long body" {
			go func() { answers <- <-s.answer }()
		}
	}
	said := map[string]int{}
	for range refused {
		select {
		case b := <-answers:
			said[codeOf(b)]++
		case <-time.After(time.Minute):
			t.Fatalf("%d long bodies at once were answered %v, want %d refusals", each, said, refused)
		}
	}
	// A refusal may be lost: the server hangs up on what it has not read, and the reset overtakes the answer.
	if said["RequestLimitExceeded"] == 0 || len(said) > 2 || len(said) == 2 && said[""] == 0 {
		t.Errorf("the long bodies were answered %v, want refusals", said)
	}
	for _, s := range all {
		if s.what != "long body" && s.what != "no TLS, but a try" {
			select {
			case b := <-s.answer:
				t.Errorf("%s: hung up on at once, with %q", s.what, b)
			default:
			}
		}
	}
}

// Whoever stops in the middle is hung up on, and what it had taken of the room comes back.
func TestStalledClientsGo(t *testing.T) {
	c := config(t, filepath.Join(t.TempDir(), "data"))
	startLimited(t, c, func(s *server.Server) { s.SetLimits(3*time.Second, room) })
	for _, s := range stall(t, c, 5) {
		select {
		case <-s.answer:
		case <-time.After(2 * time.Minute):
			t.Fatalf("%s: not hung up on", s.what)
		}
	}
	for start := time.Now(); ; {
		res, err := http.Post("http://"+c.Listen+"/", "application/x-www-form-urlencoded", strings.NewReader(strings.Repeat("x", 900_000)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if code := codeOf(b); code != "RequestLimitExceeded" {
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatal("a minute afterwards there is no room for a long body")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// codeOf is what an answer says went wrong; empty: nothing, or there is none.
func codeOf(answer []byte) string {
	if m := regexp.MustCompile(`<Code>(.*)</Code>`).FindSubmatch(answer); m != nil {
		return string(m[1])
	}
	return ""
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
