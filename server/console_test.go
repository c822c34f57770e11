package server_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Console, sessions and API are on one origin, and keep out of each other's way.
func TestConsoleBesideTheAPI(t *testing.T) {
	c := config(t, filepath.Join(t.TempDir(), "data"))
	start(t, c)
	for _, tt := range []struct {
		method, path string
		status       int
		kind, text   string
	}{
		{http.MethodGet, "/", 200, "text/html; charset=utf-8", "Sallyport"},
		{http.MethodHead, "/", 200, "text/html; charset=utf-8", ""},
		{http.MethodGet, "/?utm=1", 200, "text/html; charset=utf-8", "Sallyport"},
		{http.MethodGet, "/?Action=DescribeVpcs&Version=2016-11-15", 403, "text/xml;charset=UTF-8", "MissingAuthenticationToken"},
		{http.MethodPost, "/", 403, "text/xml;charset=UTF-8", "MissingAuthenticationToken"},
		{http.MethodPut, "/", 405, "text/plain; charset=utf-8", ""},
		{http.MethodPost, "/session", 400, "application/json", "InvalidRequest"},
		{http.MethodGet, "/session", 405, "text/plain; charset=utf-8", ""},
		{http.MethodGet, "/nothing", 404, "text/plain; charset=utf-8", ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+c.Listen+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != tt.status || res.Header.Get("Content-Type") != tt.kind || !strings.Contains(string(text), tt.text) {
			t.Errorf("%s %s: %d %s %.200s, %v; want %d %s with %q", tt.method, tt.path, res.StatusCode, res.Header.Get("Content-Type"),
				text, err, tt.status, tt.kind, tt.text)
		}
	}
}
