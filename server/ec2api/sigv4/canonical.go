package sigv4

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// canonical returns the one spelling of r that both sides sign.
func canonical(r *http.Request, s *signature, body []byte) (string, error) {
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + escape(cmp.Or(r.URL.EscapedPath(), "/"), "/") + "\n" + query + "\n")
	for _, name := range s.headers {
		b.WriteString(name + ":" + headerValue(r, name, body) + "\n")
	}
	b.WriteString("\n" + strings.Join(s.headers, ";") + "\n" + hashOf(body))
	return b.String(), nil
}

// headerValue returns the values of a header, joined, with blanks collapsed. An absent one is empty.
func headerValue(r *http.Request, name string, body []byte) string {
	switch name { // net/http keeps these two outside of the map
	case "host":
		return strings.TrimSpace(r.Host)
	case "content-length":
		return strconv.Itoa(len(body))
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		v = strings.TrimSpace(v)
		for strings.Contains(v, "  ") {
			v = strings.ReplaceAll(v, "  ", " ")
		}
		values[i] = v
	}
	return strings.Join(values, ",")
}

type param struct{ name, value string }

// parseQuery splits a query string. A plus is a blank, as in forms.
func parseQuery(raw string) ([]param, error) {
	if raw == "" {
		return nil, nil
	}
	var params []param
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return nil, refuse(Malformed, "The query string contains a syntax error.")
		}
		params = append(params, param{name, value})
	}
	return params, nil
}

func canonicalQuery(raw string) (string, error) {
	params, err := parseQuery(raw)
	if err != nil {
		return "", err
	}
	pairs := make([]param, 0, len(params))
	for _, p := range params {
		if p.name != "X-Amz-Signature" {
			pairs = append(pairs, param{escape(p.name, ""), escape(p.value, "")})
		}
	}
	slices.SortFunc(pairs, func(a, b param) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value))
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String(), nil
}

// escape percent-encodes all but RFC 3986's unreserved characters and those in keep.
func escape(s, keep string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == '~', strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
