package sallyport_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport"

// goPackage is what `go list -json` says of a package; Imports holds import paths without tests.
type goPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	Imports    []string
}

// A floor says what packages below a folder may never reach, through however many others.
type floor struct {
	folder string   // of the module, with everything below it
	never  []string // import path prefixes
	reason string
}

var floors = []floor{
	{"vpc", own("ruleset", "reachability", "inquiry", "flowlog", "advisor", "feed", "server", "agent", "cmd", "e2e"), "vpc is floor 0: imports only point down"},
	{"ruleset", own("feed", "server", "agent", "cmd", "e2e"), "ruleset is floor 1: imports only point down"},
	{"reachability", own("feed", "server", "agent", "cmd", "e2e"), "reachability is floor 1: imports only point down"},
	{"inquiry", own("feed", "server", "agent", "cmd", "e2e"), "inquiry is floor 1: imports only point down"},
	{"flowlog", own("feed", "server", "agent", "cmd", "e2e"), "flowlog is floor 1: imports only point down"},
	{"advisor", own("feed", "server", "agent", "cmd", "e2e"), "advisor is floor 1: imports only point down"},
	{"feed", own("server", "agent", "cmd", "e2e"), "feed is floor 2, below what it connects"},
	{"feed", []string{"go.etcd.io"}, "the feed carries Views, never the store"},
	{"server", own("agent", "cmd", "e2e"), "server and agent meet only in feed; cmd/sallyport sees both"},
	{"server", []string{"github.com/cilium/ebpf", "github.com/vishvananda"}, "the server needs no root and no Linux feature"},
	{"agent", own("server", "cmd", "e2e"), "server and agent meet only in feed; cmd/sallyport sees both"},
	{"agent/datapath", own("feed", "agent/lab", "agent/local"), "datapath keeps maps equal to tables; who announces devices and guests is agent's to know"},
	{"agent/local", own("feed", "agent/lab", "agent/datapath"), "local is the socket; what a binding does is agent's to know"},
	{"agent/lab", own("feed", "agent/datapath"), "lab makes guests and binds them through the socket, as anything else does"},
	{"agent", []string{"go.etcd.io"}, "an agent knows the feed, never the store: every host would carry etcd"},
	{"console", own("vpc", "ruleset", "feed", "server", "agent", "cmd", "e2e"), "the console asks the API from a browser; its Go only serves files"},
	{"cmd", own("ruleset/scenariotest", "server/store/storetest", "server/ec2api/ec2apitest", "agent/datapath/hostiletest", "e2e"), "what tests need does not go into the binary"},
}

// pure lists the folders of floors 0 and 1: no I/O, no clock, no goroutine, no chance, and of
// other modules only the persistent map. Packages of test helpers (…test) may do what tests do.
var (
	pure        = []string{"vpc", "ruleset", "reachability", "inquiry", "flowlog", "advisor"}
	pureImports = append(own(pure...), "github.com/tidwall/btree")
	impure      = []string{
		"os", "io/ioutil", "net", "net/http", "net/rpc", "net/smtp", "net/textproto", "syscall", "log",
		"database/sql", "plugin", "math/rand", "math/rand/v2", "testing",
	}
	clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
)

func own(folders ...string) []string {
	paths := make([]string, len(folders))
	for i, f := range folders {
		paths[i] = module + "/" + f
	}
	return paths
}

// below reports whether path is prefix or a package under it.
func below(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func belowAny(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return below(path, p) })
}

func TestFloors(t *testing.T) {
	packages := listPackages(t)
	for _, v := range broken(packages, floors) {
		t.Error(v)
	}
	for _, p := range packages {
		if !belowAny(p.ImportPath, own(pure...)) || strings.HasSuffix(p.ImportPath, "test") {
			continue
		}
		for _, v := range impurities(t, p, packages) {
			t.Error(v)
		}
	}
}

// TestMap wants a line of doc.go's map for each package of the module, and a folder for each line.
func TestMap(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string // what the map names
	var path []string    // of the line above, for each two blanks of its indent
	for line := range strings.Lines(file.Doc.Text()) {
		entry, ok := strings.CutPrefix(line, "\t")
		if !ok {
			if len(folders) > 0 {
				break // the map is the first of the indented blocks
			}
			continue
		}
		name := strings.TrimLeft(entry, " ")
		depth := (len(entry) - len(name)) / 2
		if depth > len(path) {
			t.Fatalf("doc.go: %q is indented by more than one step", entry)
		}
		path = append(path[:depth], strings.Fields(name)[0])
		folders = append(folders, strings.Join(path, "/"))
	}
	for _, f := range folders {
		if info, err := os.Stat(f); err != nil || !info.IsDir() {
			t.Errorf("doc.go names %s, which is no folder", f)
		}
	}
	for path := range listPackages(t) {
		if f, ours := strings.CutPrefix(path, module+"/"); ours && !slices.Contains(folders, f) {
			t.Errorf("doc.go does not say what %s is for", f)
		}
	}
}

// TestFloorsSee proves on a small made-up module that a broken floor is seen, through others too.
func TestFloorsSee(t *testing.T) {
	packages := map[string]goPackage{}
	for path, imports := range map[string][]string{
		module + "/agent":          {module + "/agent/datapath", module + "/feed"},
		module + "/agent/datapath": {"github.com/cilium/ebpf"},
		module + "/feed":           {"example.com/helper"},
		module + "/server":         {module + "/feed"},
		"example.com/helper":       {"go.etcd.io/etcd/client/v3"},
	} {
		packages[path] = goPackage{ImportPath: path, Imports: imports}
	}
	got := broken(packages, floors)
	want := []string{
		"agent reaches go.etcd.io/etcd/client/v3 (agent → feed → example.com/helper → go.etcd.io/etcd/client/v3): an agent knows the feed, never the store: every host would carry etcd",
		"feed reaches go.etcd.io/etcd/client/v3 (feed → example.com/helper → go.etcd.io/etcd/client/v3): the feed carries Views, never the store",
	}
	if !slices.Equal(got, want) {
		t.Errorf("broken floors:\ngot  %q\nwant %q", got, want)
	}
}

// listPackages asks the go command for every package of the module and all they depend on.
func listPackages(t *testing.T) map[string]goPackage {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Dir,Standard,GoFiles,Imports", "./...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	packages := map[string]goPackage{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		packages[p.ImportPath] = p
	}
}

// broken returns one sorted line per package and forbidden prefix that it reaches, with a
// shortest way there.
func broken(packages map[string]goPackage, floors []floor) []string {
	var lines []string
	for path := range packages {
		for _, f := range floors {
			if !below(path, module+"/"+f.folder) {
				continue
			}
			if way := shortestWay(packages, path, f.never); way != nil {
				lines = append(lines, fmt.Sprintf("%s reaches %s (%s): %s",
					way[0], way[len(way)-1], strings.Join(way, " → "), f.reason))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// shortestWay walks the imports breadth first from path to the first package below one of never;
// nil if there is none. Packages of the module are named by their folder.
func shortestWay(packages map[string]goPackage, path string, never []string) []string {
	from := map[string]string{path: ""}
	for queue := []string{path}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != path && belowAny(at, never) {
			var way []string
			for ; at != ""; at = from[at] {
				way = append(way, strings.TrimPrefix(at, module+"/"))
			}
			slices.Reverse(way)
			return way
		}
		for _, next := range packages[at].Imports {
			if _, seen := from[next]; !seen {
				from[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// impurities returns what a package of floor 0 or 1 imports or calls that it must not.
func impurities(t *testing.T, p goPackage, packages map[string]goPackage) []string {
	t.Helper()
	var lines []string
	for _, path := range p.Imports {
		switch {
		case strings.HasPrefix(path, "os/") || slices.Contains(impure, path):
			lines = append(lines, fmt.Sprintf("%s imports %s: floors 0 and 1 do no I/O, and chance comes in from outside", p.ImportPath, path))
		case !packages[path].Standard && !belowAny(path, pureImports):
			lines = append(lines, fmt.Sprintf("%s imports %s: floors 0 and 1 know the standard library, each other and one persistent map", p.ImportPath, path))
		}
	}
	for _, name := range p.GoFiles {
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				lines = append(lines, fmt.Sprintf("%s: floors 0 and 1 start no goroutine", files.Position(n.Pos())))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					lines = append(lines, fmt.Sprintf("%s: time.%s: floors 0 and 1 have no clock, the time comes in from outside", files.Position(n.Pos()), n.Sel.Name))
				}
			}
			return true
		})
	}
	return lines
}
