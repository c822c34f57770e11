package server

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are the addresses of reverse proxies that are trusted to say from where a request came.
type proxies []netip.Prefix

func (p proxies) trust(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(trusted netip.Prefix) bool { return trusted.Contains(a) })
}

// resolve lets next see the address of the client where a trusted proxy said it: of X-Forwarded-For, to
// which each proxy appends, the last that is not itself of a trusted one. The port is then 0 and the
// header gone. With X-Forwarded-Proto: https the request has a TLS state, an empty one. Of what cannot be
// read nothing is believed.
func (p proxies) resolve(next http.Handler) http.Handler {
	if len(p) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client := p.client(r); client.IsValid() {
			r = r.Clone(r.Context())
			r.RemoteAddr = net.JoinHostPort(client.String(), "0")
			if r.Header.Get("X-Forwarded-Proto") == "https" && r.TLS == nil {
				r.TLS = &tls.ConnectionState{} // that there is one makes cookies Secure
			}
			r.Header.Del("X-Forwarded-For")
			r.Header.Del("Forwarded")
		}
		next.ServeHTTP(w, r)
	})
}

// client returns the address of who asked a trusted proxy; the zero Addr if none did.
func (p proxies) client(r *http.Request) (client netip.Addr) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.trust(from.Addr().Unmap()) {
		return client
	}
	said := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(said) {
		a, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return netip.Addr{}
		}
		if client = a.Unmap().WithZone(""); !p.trust(client) {
			return client
		}
	}
	return client // trusted ones all the way
}
