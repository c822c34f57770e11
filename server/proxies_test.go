package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/server"
)

func TestTrustedProxies(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28"), netip.MustParsePrefix("2001:db8::/64")}
	for name, tt := range map[string]struct {
		from string
		said []string
		want string
	}{
		"nobody between":               {"198.51.100.7:4000", nil, "198.51.100.7:4000"},
		"who is not trusted":           {"198.51.100.7:4000", []string{"203.0.113.9"}, "198.51.100.7:4000"},
		"a proxy":                      {"192.0.2.1:4000", []string{"203.0.113.9"}, "203.0.113.9:0"},
		"a proxy by IPv6":              {"[2001:db8::1]:4000", []string{"2001:db8:1::9"}, "[2001:db8:1::9]:0"},
		"a proxy as mapped IPv4":       {"[::ffff:192.0.2.1]:4000", []string{"::ffff:203.0.113.9"}, "203.0.113.9:0"},
		"two proxies":                  {"192.0.2.1:4000", []string{"203.0.113.9, 192.0.2.2"}, "203.0.113.9:0"},
		"two proxies with a line each": {"192.0.2.1:4000", []string{"203.0.113.9", "192.0.2.2"}, "203.0.113.9:0"},
		"what the client made up":      {"192.0.2.1:4000", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9:0"},
		"one proxy too many":           {"192.0.2.1:4000", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1:0"},
		"the proxy itself":             {"192.0.2.1:4000", []string{"192.0.2.3"}, "192.0.2.3:0"},
		"a proxy that says nothing":    {"192.0.2.1:4000", nil, "192.0.2.1:4000"},
		"a proxy that says no address": {"192.0.2.1:4000", []string{"unknown"}, "192.0.2.1:4000"},
		"behind what cannot be read":   {"192.0.2.1:4000", []string{"203.0.113.9, unknown, 192.0.2.2"}, "192.0.2.1:4000"},
		"a port, which is no address":  {"192.0.2.1:4000", []string{"203.0.113.9:80"}, "192.0.2.1:4000"},
		"a socket that has no address": {"@", []string{"203.0.113.9"}, "@"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.RemoteAddr = tt.from
			for _, said := range tt.said {
				r.Header.Add("X-Forwarded-For", said)
			}
			var got string
			server.ResolveProxies(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })).
				ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want {
				t.Errorf("from %s, which said %q: got %s, want %s", tt.from, tt.said, got, tt.want)
			}
		})
	}
}

// By a trusted proxy that says so a request came under TLS.
func TestTrustedProxiesUnderTLS(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}
	for name, tt := range map[string]struct {
		from, proto string
		want        bool
	}{
		"a proxy under TLS":    {"192.0.2.1:4000", "https", true},
		"a proxy without":      {"192.0.2.1:4000", "http", false},
		"a proxy that is mute": {"192.0.2.1:4000", "", false},
		"who is not trusted":   {"198.51.100.7:4000", "https", false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = tt.from
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		r.Header.Set("X-Forwarded-Proto", tt.proto)
		var got bool
		server.ResolveProxies(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.TLS != nil })).
			ServeHTTP(httptest.NewRecorder(), r)
		if got != tt.want {
			t.Errorf("%s: under TLS %t, want %t", name, got, tt.want)
		}
	}
}
