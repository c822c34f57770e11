package console

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

var built = fstest.MapFS{
	".gitkeep":             {},
	"index.html":           {Data: []byte(`<!doctype html><script type="module" src="/assets/index-a1b2.js"></script>`)},
	"favicon.svg":          {Data: []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`)},
	"assets/index-a1b2.js": {Data: []byte(strings.Repeat("export const a = 1;\n", 200))},
	"assets/index-c3.css":  {Data: []byte(strings.Repeat("a { color: red }\n", 200))},
	"assets/font.woff2":    {Data: []byte("wOF2\x01\x9c\x37")},
}

// get asks for a path; header are names and values.
func get(t *testing.T, h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFiles(t *testing.T) {
	h, err := handler(built)
	if err != nil {
		t.Fatal(err)
	}
	const kept, asked = "public, max-age=31536000, immutable", "no-cache"
	for path, want := range map[string]struct {
		status      int
		kind, cache string
		zipped      bool
	}{
		"/":                     {200, "text/html; charset=utf-8", asked, false},
		"/index.html":           {200, "text/html; charset=utf-8", asked, false},
		"/favicon.svg":          {200, "image/svg+xml", asked, false},
		"/assets/index-a1b2.js": {200, "text/javascript; charset=utf-8", kept, true},
		"/assets/index-c3.css":  {200, "text/css; charset=utf-8", kept, true},
		"/assets/font.woff2":    {200, "font/woff2", kept, false},
		"/assets/index-old.js":  {404, "text/plain; charset=utf-8", "no-store", false},
		"/assets/":              {404, "text/plain; charset=utf-8", "no-store", false},
		"/.gitkeep":             {404, "text/plain; charset=utf-8", "no-store", false},
		"/SecurityGroups":       {404, "text/plain; charset=utf-8", "no-store", false},
		"/../console.go":        {404, "text/plain; charset=utf-8", "no-store", false},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, takes := range []string{"", "gzip, deflate, br", "gzip;q=0"} {
				r := get(t, h, method, path, "Accept-Encoding", takes)
				zipped := r.Header().Get("Content-Encoding") == "gzip"
				if r.Code != want.status || r.Header().Get("Content-Type") != want.kind || r.Header().Get("Cache-Control") != want.cache ||
					zipped != (want.zipped && takes == "gzip, deflate, br") {
					t.Errorf("%s %s, takes %q: %d %v", method, path, takes, r.Code, r.Header())
				}
				if want.status != 200 || method == http.MethodHead {
					continue
				}
				var content io.Reader = r.Body
				if zipped {
					if content, err = gzip.NewReader(r.Body); err != nil {
						t.Fatal(err)
					}
				}
				name := strings.TrimPrefix(path, "/")
				if name == "" {
					name = "index.html"
				}
				if got := body(t, content); got != string(built[name].Data) {
					t.Errorf("%s, takes %q: got %q", path, takes, got)
				}
				if again := get(t, h, method, path, "Accept-Encoding", takes, "If-None-Match", r.Header().Get("ETag")); again.Code != http.StatusNotModified {
					t.Errorf("%s again: %d", path, again.Code)
				}
			}
		}
	}
	if r := get(t, h, http.MethodPost, "/favicon.svg"); r.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST of a file: %d", r.Code)
	}
}

// Every answer keeps the page to itself: nothing of another host, nothing inline, in nobody's frame.
func TestHeaders(t *testing.T) {
	h, err := handler(built)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/assets/index-a1b2.js", "/nothing"} {
		r := get(t, h, http.MethodGet, path)
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := r.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		policy := map[string]string{}
		for part := range strings.SplitSeq(r.Header().Get("Content-Security-Policy"), ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
			policy[name] = value
		}
		for name, want := range map[string]string{
			"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'",
			"img-src": "'self' data:", "font-src": "'self' data:",
			"base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
		} {
			if policy[name] != want {
				t.Errorf("%s: the policy's %s is %q, want %q", path, name, policy[name], want)
			}
			delete(policy, name)
		}
		if len(policy) > 0 {
			t.Errorf("%s: the policy says more: %v", path, policy)
		}
	}
}

// Without Node.js the program is built all the same, and says what is missing.
func TestNotBuilt(t *testing.T) {
	h, err := handler(fstest.MapFS{".gitkeep": {}})
	if err != nil {
		t.Fatal(err)
	}
	r := get(t, h, http.MethodGet, "/")
	if text := body(t, r.Body); r.Code != http.StatusOK || !strings.Contains(text, "make build") || !strings.Contains(text, "EC2 API") {
		t.Errorf("got %d %s", r.Code, text)
	}
	if _, err := Handler(); err != nil {
		t.Error(err)
	}
}
