package audit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server/audit"
	"github.com/sallyport/sallyport/vpc"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, o audit.Options) *audit.Log {
	t.Helper()
	if o.MaxSizeMB == 0 {
		o.MaxSizeMB = 1
	}
	l, err := audit.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// record is the nth of a test: by user ann or bob in turn, a second after the one before.
func record(n int) audit.Record {
	return audit.Record{
		Time: start.Add(time.Duration(n) * time.Second), RequestID: fmt.Sprint("request-", n), User: []string{"ann", "bob"}[n%2],
		Action: "CreateTags", Parameters: map[string]string{"ResourceId.1": fmt.Sprintf("sg-%017x", n), "Tag.1.Value": "<é> \"\n\u2028"},
		IDs: []string{fmt.Sprintf("sgr-%017x", n)}, Revision: int64(n),
	}
}

func write(t testing.TB, l *audit.Log, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := l.Ready(); err != nil {
			t.Fatal(err)
		}
		if err := l.Write(record(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// read returns the requests that a query finds, over all its pages.
func read(t testing.TB, l *audit.Log, q audit.Query) []string {
	t.Helper()
	var found []string
	for {
		page, next, err := l.Read(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > q.Max || next != "" && len(page) < q.Max {
			t.Fatalf("a page of %d records for %d, the next is %q", len(page), q.Max, next)
		}
		for _, r := range page {
			found = append(found, strings.TrimPrefix(r.RequestID, "request-"))
		}
		if next == "" {
			return found
		}
		q.Token = next
	}
}

// numbers returns from, from-step … to.
func numbers(from, to, step int) []string {
	var out []string
	for ; from >= to; from -= step {
		out = append(out, fmt.Sprint(from))
	}
	return out
}

func TestRead(t *testing.T) {
	l := open(t, audit.Options{Dir: t.TempDir()})
	write(t, l, 1, 30)
	page, _, err := l.Read(t.Context(), audit.Query{Max: 1})
	want := record(30)
	want.Seq = 30
	if err != nil || len(page) != 1 || fmt.Sprint(page[0]) != fmt.Sprint(want) {
		t.Errorf("the newest record is %+v, %v; want %+v", page, err, want)
	}
	for name, tt := range map[string]struct {
		q    audit.Query
		want []string
	}{
		"all":              {audit.Query{}, numbers(30, 1, 1)},
		"user":             {audit.Query{User: "bob"}, numbers(29, 1, 2)},
		"part of a name":   {audit.Query{User: "bo"}, nil},
		"action":           {audit.Query{Action: "CreateTags", User: "ann"}, numbers(30, 2, 2)},
		"refused":          {audit.Query{Code: "DependencyViolation"}, nil},
		"id in request":    {audit.Query{ID: fmt.Sprintf("sg-%017x", 7)}, []string{"7"}},
		"id in answer":     {audit.Query{ID: fmt.Sprintf("sgr-%017x", 7)}, []string{"7"}},
		"since":            {audit.Query{Start: start.Add(28 * time.Second)}, numbers(30, 28, 1)},
		"until":            {audit.Query{End: start.Add(3 * time.Second)}, numbers(2, 1, 1)},
		"from until":       {audit.Query{Start: start.Add(3 * time.Second), End: start.Add(5 * time.Second)}, numbers(4, 3, 1)},
		"what JSON quotes": {audit.Query{ID: "<é> \"\n\u2028"}, numbers(30, 1, 1)},
	} {
		for _, size := range []int{1, 5, 30, 1000} {
			tt.q.Max = size
			if got := read(t, l, tt.q); !slices.Equal(got, tt.want) {
				t.Errorf("%s, pages of %d: got %v, want %v", name, size, got, tt.want)
			}
		}
	}
	for _, token := range []string{"x", "YXVkaXQKMA", "YXVkaXQK", "!"} {
		if _, _, err := l.Read(t.Context(), audit.Query{Max: 1, Token: token}); vpc.CodeOf(err) != vpc.CodeInvalidNextToken {
			t.Errorf("token %q: %v, want InvalidNextToken", token, err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, _, err := l.Read(ended, audit.Query{Max: 1}); err == nil {
		t.Error("Read goes on after its context ended")
	}
}

// Files are rotated by size, the oldest go, and nobody who reads meanwhile misses a record.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir, MaxFiles: 2})
	big := strings.Repeat("x", 10_000)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			page, _, err := l.Read(t.Context(), audit.Query{Max: 10})
			if err != nil {
				t.Errorf("read: %v", err)
				return
			}
			for i := range page[:max(len(page)-1, 0)] {
				if page[i].Seq != page[i+1].Seq+1 {
					t.Errorf("after record %d comes %d", page[i].Seq, page[i+1].Seq)
					return
				}
			}
		}
	})
	for n := 1; n <= 600; n++ { // 6 MB
		r := record(n)
		r.Parameters["big"] = big
		if err := l.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	var files []string
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // the library removes in its own time
		files, _ = filepath.Glob(filepath.Join(dir, "*"))
		if len(files) == 3 || time.Now().After(end) {
			break
		}
	}
	if len(files) != 3 {
		t.Fatalf("the files are %v, want the current one and 2 more", files)
	}
	for _, f := range files {
		if i, err := os.Stat(f); err != nil || i.Size() > 1<<20 || i.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", f, i, err)
		}
	}
	got := read(t, l, audit.Query{Max: 100})
	if len(got) < 200 || len(got) > 330 || !slices.Equal(got, numbers(600, 601-len(got), 1)) {
		t.Errorf("%d records are left: %v", len(got), got)
	}
}

// A log goes on where it ended, also after half a line.
func TestOpenAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, open(t, audit.Options{Dir: dir}), 1, 3)
	f, err := os.OpenFile(filepath.Join(dir, "audit.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq":4,"time":"2026-`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l := open(t, audit.Options{Dir: dir})
	write(t, l, 4, 4)
	if got := read(t, l, audit.Query{Max: 10}); !slices.Equal(got, numbers(4, 1, 1)) {
		t.Errorf("got %v", got)
	}
	page, _, err := l.Read(t.Context(), audit.Query{Max: 1})
	if err != nil || page[0].Seq != 4 {
		t.Errorf("the newest is %+v, %v; want number 4", page, err)
	}
}

// A full disk is told at once, stays told, and is forgotten when there is room again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Options{Dir: dir})
	write(t, l, 1, 1)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := l.Run(ctx); err != nil { // closes the file: the next write opens it again
		t.Fatal(err)
	}
	file := filepath.Join(dir, "audit.jsonl")
	if err := os.Rename(file, file+".kept"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", file); err != nil {
		t.Fatal(err)
	}
	if err := l.Write(record(2)); err == nil {
		t.Error("Write to a full disk: no error")
	}
	if err := l.Ready(); err == nil {
		t.Error("Ready on a full disk: no error")
	}
	if err := os.Rename(file+".kept", file); err != nil {
		t.Fatal(err)
	}
	write(t, l, 3, 3)
	if got := read(t, l, audit.Query{Max: 10}); !slices.Equal(got, []string{"3", "1"}) {
		t.Errorf("the log holds %v, want 3 and 1", got)
	}
}

// What could not be brought to disk is tried again, though nothing more is written.
func TestSyncIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	failed := make(chan string, 100)
	l := open(t, audit.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(says(failed), nil))})
	write(t, l, 1, 1)
	file := filepath.Join(dir, "audit.jsonl")
	if err := errors.Join(os.Rename(file, file+".away"), os.Symlink(file, file)); err != nil { // cannot be opened
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	for n := range 2 {
		select {
		case line := <-failed:
			if !strings.Contains(line, "not brought to disk") {
				t.Errorf("it says %s", line)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("it was tried %d times", n)
		}
	}
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// says passes on what is logged.
type says chan string

func (s says) Write(line []byte) (int, error) {
	s <- string(line)
	return len(line), nil
}

func TestOpenRefusesWhatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, "audit.jsonl")); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(audit.Options{Dir: dir}); err == nil {
		t.Error("Open on a full disk: no error")
	}
}

func BenchmarkWrite(b *testing.B) {
	l := open(b, audit.Options{Dir: b.TempDir(), MaxSizeMB: 64, MaxFiles: 1})
	r := record(1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := l.Ready(); err != nil {
				b.Error(err)
			}
			if err := l.Write(r); err != nil {
				b.Error(err)
			}
		}
	})
}
