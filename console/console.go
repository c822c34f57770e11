// Package console serves the web console: what `make console` built below dist, embedded in the binary.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// dist holds nothing but .gitkeep in a checkout that was never built: Go alone builds it, too.
//
//go:embed all:dist
var dist embed.FS

// missing is shown instead of a console that was not built.
//
//go:embed missing.html
var missing []byte

const (
	index  = "index.html"
	assets = "assets/" // have a hash of what is in them in their names
)

// policy lets a page load scripts, styles, fonts and pictures from this server alone, and ask nobody else. None of
// them may stand in the page itself, nobody may put it in a frame, and it posts no form.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// kinds are the content types of what Vite makes, and not those that the machine has in mind for its names.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon",
	".woff": "font/woff", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8",
}

// file is one that is served.
type file struct {
	content []byte
	kind    string // content type
	tag     string // for If-None-Match
	zipped  func() []byte
}

// Handler serves the console: its page at /, and beside it the files that belong to it.
func Handler() (http.Handler, error) {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("open the console: %w", err)
	}
	return handler(built)
}

func handler(built fs.FS) (http.Handler, error) {
	files := map[string]*file{index: newFile(index, missing)}
	err := fs.WalkDir(built, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		content, err := fs.ReadFile(built, name)
		files[name] = newFile(name, content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the console: %w", err)
	}
	return server(files), nil
}

func newFile(name string, content []byte) *file {
	kind, ok := kinds[path.Ext(name)]
	if !ok {
		kind = "application/octet-stream"
	}
	sum := sha256.Sum256(content)
	return &file{content, kind, `"` + hex.EncodeToString(sum[:16]) + `"`, sync.OnceValue(func() []byte { return zip(content) })}
}

// zip returns the content in gzip's form, nil if that is not worth it: fonts and pictures are packed already.
func zip(content []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil
	}
	_, _ = z.Write(content) // into memory
	_ = z.Close()
	if b.Len() > len(content)*9/10 {
		return nil
	}
	return b.Bytes()
}

// server serves files by their names.
type server map[string]*file

// ServeHTTP implements http.Handler.
func (s server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = index
	}
	f := s[name]
	switch {
	case f == nil:
		h.Set("Cache-Control", "no-store") // of a newer server, maybe
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	case strings.HasPrefix(name, assets):
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	default:
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	content, tag := f.content, f.tag
	if takesGzip(r) {
		if z := f.zipped(); z != nil {
			content, tag = z, strings.TrimSuffix(f.tag, `"`)+`-gzip"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// takesGzip reports whether a client says that it can read gzip.
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if name == "gzip" && strings.ReplaceAll(weight, " ", "") != "q=0" {
			return true
		}
	}
	return false
}
