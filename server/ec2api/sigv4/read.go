package sigv4

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signature is what a request says about how it was signed; nothing of it has been checked but its form.
type signature struct {
	accessKeyID, day, region, service string   // the credential scope
	signature                         string   // hex
	headers                           []string // signed ones: small letters, sorted, each once
	time                              time.Time
	expires                           time.Duration // of a presigned request
	presigned                         bool
	token                             string // of a session; "": none came along
}

const tokenName = "X-Amz-Security-Token"

// read finds the signature of r, in the header or in the query string.
func read(r *http.Request) (*signature, error) {
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	query := map[string]string{}
	for _, p := range params {
		if strings.HasPrefix(strings.ToLower(p.name), "x-amz-") {
			if _, twice := query[p.name]; twice {
				return nil, refuse(Malformed, "The query string has "+p.name+" twice.")
			}
			query[p.name] = p.value
		}
	}
	authorization := r.Header.Values("Authorization")
	_, presigned := query["X-Amz-Signature"]
	if !presigned {
		_, presigned = query["X-Amz-Algorithm"]
	}
	switch {
	case presigned && len(authorization) > 0:
		return nil, refuse(Malformed, "The request is signed twice: in the Authorization header and in the query string.")
	case presigned:
		return readQuery(query, r.Header)
	case len(authorization) == 1:
		return readHeader(authorization[0], r.Header)
	case len(authorization) > 1:
		return nil, refuse(Malformed, "The request has more than one Authorization header.")
	}
	return nil, refuse(Unsigned, "the request is not signed")
}

// ClaimedKey returns the access key that a request says it is signed with, "" if it says none. Nothing of it
// is checked.
func ClaimedKey(r *http.Request) string {
	s, err := read(r)
	if err != nil {
		return ""
	}
	return s.accessKeyID
}

// readHeader reads: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…
func readHeader(authorization string, h http.Header) (*signature, error) {
	scheme, rest, _ := strings.Cut(authorization, " ")
	if scheme != algorithm {
		return nil, refuse(Malformed, "Unsupported algorithm in the Authorization header; use "+algorithm+".")
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := parts[key]; twice || !ok {
			return nil, refuse(Malformed, "The Authorization header is not a list of Key=Value.")
		}
		parts[key] = value
	}
	for _, key := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parts[key] == "" {
			return nil, refuse(Malformed, "Authorization header requires '"+key+"' parameter.")
		}
	}
	if len(parts) != 3 {
		return nil, refuse(Malformed, "The Authorization header has an unknown parameter.")
	}
	tokens := h.Values(tokenName)
	if len(tokens) > 1 {
		return nil, refuse(Malformed, "The request has more than one "+tokenName+" header.")
	}
	s := &signature{signature: parts["Signature"], token: strings.Join(tokens, "")}
	if err := s.scopeAndHeaders(parts["Credential"], parts["SignedHeaders"]); err != nil {
		return nil, err
	}
	name := "X-Amz-Date"
	if len(h.Values(name)) == 0 {
		name = "Date"
	}
	dates := h.Values(name)
	if len(dates) != 1 {
		return nil, refuse(Malformed, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header, once.")
	}
	if !slices.Contains(s.headers, strings.ToLower(name)) {
		return nil, refuse(Malformed, "'"+name+"' must be a 'SignedHeader' in the AWS Authorization.")
	}
	t, err := time.Parse(timeLayout, dates[0])
	if err != nil && name == "Date" {
		t, err = http.ParseTime(dates[0])
	}
	if err != nil {
		return nil, refuse(Malformed, "Date must be in ISO-8601 'basic format'.")
	}
	s.time = t.UTC()
	return s, nil
}

// readQuery reads the parameters of a presigned request.
func readQuery(query map[string]string, h http.Header) (*signature, error) {
	for _, key := range []string{
		"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
	} {
		if query[key] == "" {
			return nil, refuse(Malformed, "AWS query-string parameters must include '"+key+"'.")
		}
	}
	if query["X-Amz-Algorithm"] != algorithm {
		return nil, refuse(Malformed, "Unsupported algorithm in X-Amz-Algorithm; use "+algorithm+".")
	}
	if len(h.Values(tokenName)) > 0 {
		return nil, refuse(Malformed, "The "+tokenName+" of a presigned request belongs into the query string.")
	}
	s := &signature{signature: query["X-Amz-Signature"], presigned: true, token: query[tokenName]}
	if err := s.scopeAndHeaders(query["X-Amz-Credential"], query["X-Amz-SignedHeaders"]); err != nil {
		return nil, err
	}
	var err error
	if s.time, err = time.Parse(timeLayout, query["X-Amz-Date"]); err != nil {
		return nil, refuse(Malformed, "Date must be in ISO-8601 'basic format'.")
	}
	seconds, err := strconv.ParseUint(query["X-Amz-Expires"], 10, 32)
	s.expires = time.Duration(seconds) * time.Second
	if err != nil || s.expires == 0 || s.expires > maxExpires {
		return nil, refuse(Malformed, "X-Amz-Expires must be between 1 and 604800 seconds.")
	}
	return s, nil
}

// scopeAndHeaders reads KEY/DAY/REGION/SERVICE/aws4_request and header;header;header.
func (s *signature) scopeAndHeaders(credential, headers string) error {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || slices.Contains(parts, "") || len(parts[0]) > 128 {
		return refuse(Malformed, "Credential must have exactly 5 slash-delimited elements, "+
			"e.g. keyid/date/region/service/aws4_request.")
	}
	s.accessKeyID, s.day, s.region, s.service = parts[0], parts[1], parts[2], parts[3]
	if parts[4] != terminator {
		return refuse(BadScope, fmt.Sprintf("Credential should be scoped with a valid terminator: '%s', not '%.40s'.", terminator, parts[4]))
	}
	s.headers = strings.Split(headers, ";")
	for i, name := range s.headers {
		if name == "" || name != strings.ToLower(name) || i > 0 && name <= s.headers[i-1] {
			return refuse(Malformed, "SignedHeaders must be sorted names in small letters, each once.")
		}
	}
	return nil
}

// covers checks that what could change the meaning of r is signed: the host, and every X-Amz header.
func (s *signature) covers(r *http.Request) error {
	var unsigned []string
	need := func(name string) {
		if !slices.Contains(s.headers, name) {
			unsigned = append(unsigned, name)
		}
	}
	need("host")
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			need(name)
		}
	}
	if len(unsigned) > 0 {
		slices.Sort(unsigned)
		return refuse(Malformed, "'"+unsigned[0]+"' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return nil
}
