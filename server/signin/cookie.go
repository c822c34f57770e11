package signin

import (
	"net"
	"net/http"
	"strconv"
)

// cookieName returns what the cookie of a session is called. A cookie has no port: so that two servers on one
// machine do not take each other's away, its name has. Under TLS no other host and no plain page can set it.
// Source: RFC 6265bis, section 4.1.3.2 (__Host-).
func cookieName(r *http.Request) string {
	name := "sallyport"
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			name += "-" + strconv.FormatUint(n, 10)
		}
	}
	if r.TLS != nil {
		return "__Host-" + name
	}
	return name
}

// put sets the cookie: scripts cannot read it, and other sites' requests go without it.
func (c *call) put(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: c.cookie, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: c.r.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
}

func (c *call) remember(w http.ResponseWriter, g *granted) {
	c.put(w, g.cookie, int(g.SessionExpiration.Sub(c.env.Now).Seconds()))
}

func (c *call) forget(w http.ResponseWriter) { c.put(w, "", -1) }
