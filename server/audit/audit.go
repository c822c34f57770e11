// Package audit keeps a log of the calls that change something, also of those that were refused: one
// JSON line for each, in files that are rotated by size.
//
// A record is with the kernel (write(2)) when Write returns, so a server that is killed loses none.
// It is on disk (fsync) within a second: a machine that loses its power may lose the last second.
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

// Record is one call.
type Record struct {
	Seq        int64             `json:"seq"` // counts the records of this log from 1, without a gap; Write sets it
	Time       time.Time         `json:"time"`
	RequestID  string            `json:"request_id"`
	User       string            `json:"user"`
	Key        string            `json:"key"`
	Source     string            `json:"source"` // address of the other end of the connection
	UserAgent  string            `json:"user_agent,omitempty"`
	Action     string            `json:"action"`
	Parameters map[string]string `json:"parameters,omitempty"` // without secrets
	Truncated  bool              `json:"truncated,omitempty"`  // there were more or longer parameters
	Code       string            `json:"code,omitempty"`       // of the refusal; empty: it was done
	Message    string            `json:"message,omitempty"`
	IDs        []string          `json:"ids,omitempty"` // that the answer holds
	Revision   int64             `json:"revision,omitempty"`
}

// Options of a Log.
type Options struct {
	Dir       string // made if missing, for this user alone; required
	MaxSizeMB int    // of one file; 0: 64
	MaxFiles  int    // beside the one that is written; beyond it the oldest goes; 0: 15
	Log       *slog.Logger
}

const (
	current   = "audit.jsonl" // the file that is written
	backups   = "audit-*.jsonl"
	minFree   = 16 << 20 // bytes of the file system, below which nothing is begun
	syncEvery = time.Second
)

// Log is the audit log of one server. It is safe for concurrent use.
type Log struct {
	dir string
	log *slog.Logger

	mu     sync.Mutex
	file   *lumberjack.Logger
	seq    int64
	failed error // of the last write; nil: it worked
	dirty  bool  // something was written since the last sync
}

// Open opens the log below a directory and goes on where it ended.
func Open(o Options) (*Log, error) {
	if o.MaxSizeMB == 0 {
		o.MaxSizeMB = 64
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = 15
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the audit log's directory: %w", err)
	}
	l := &Log{dir: o.Dir, log: o.Log, file: &lumberjack.Logger{
		Filename: filepath.Join(o.Dir, current), MaxSize: o.MaxSizeMB, MaxBackups: o.MaxFiles,
	}}
	for r, err := range l.backwards(context.Background(), nil) {
		if err != nil {
			return nil, err
		}
		l.seq = r.Seq
		break
	}
	if _, err := l.file.Write([]byte("\n")); err != nil { // the last line may be half a one; and now we know that it can be written
		return nil, fmt.Errorf("write the audit log: %w", err)
	}
	return l, nil
}

// Ready returns an error if a record could not be written now: then nothing that needs one may begin.
func (l *Log) Ready() error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(l.dir, &s); err != nil {
		return fmt.Errorf("look at the audit log's file system: %w", err)
	}
	if free := s.Bavail * uint64(s.Bsize); free < minFree {
		return fmt.Errorf("the audit log's file system has %d bytes left, %d are needed: %s", free, minFree, l.dir)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		l.write([]byte("\n")) // the last line may be half a one
	}
	return l.failed
}

// Write appends a record. An error means that it may be missing or incomplete in the log.
func (l *Log) Write(r Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Seq = l.seq + 1
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("encode an audit record: %w", err)
	}
	l.write(b.Bytes())
	if l.failed == nil {
		l.seq++
	}
	return l.failed
}

// write appends to the file, and keeps in failed whether it could. The caller holds mu.
func (l *Log) write(b []byte) {
	_, err := l.file.Write(b)
	if err != nil {
		err = errors.Join(fmt.Errorf("write the audit log: %w", err), l.file.Close()) // the next write opens it again
	}
	if (err == nil) != (l.failed == nil) {
		l.log.Error("audit log changed between working and not", "works", err == nil, "err", err)
	}
	l.failed, l.dirty = err, true
}

// Run has what was written brought to disk every second until ctx ends, and then closes the log.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	var since time.Time // what was written before is on disk
	for {
		select {
		case <-ctx.Done():
			l.mu.Lock()
			defer l.mu.Unlock()
			return errors.Join(l.sync(time.Time{}), l.file.Close())
		case now := <-tick.C:
			l.mu.Lock()
			dirty := l.dirty
			l.dirty = false
			l.mu.Unlock()
			if !dirty {
				continue
			}
			if err := l.sync(since); err != nil {
				l.log.Error("audit log not brought to disk", "err", err)
				l.mu.Lock()
				l.dirty = true // again, and from the same time on
				l.mu.Unlock()
				continue
			}
			since = now.Add(-3 * syncEvery)
		}
	}
}

// sync brings to disk the files that were written since a time: the current one, and what it was
// before it was rotated.
func (l *Log) sync(since time.Time) error {
	var errs []error
	for _, name := range l.files() {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // rotated meanwhile: it is in the list under its new name, or was the oldest
		} else if err != nil {
			return err
		}
		if i, err := f.Stat(); err == nil && i.ModTime().After(since) {
			errs = append(errs, f.Sync())
		}
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// files returns the log's files, newest first.
func (l *Log) files() []string {
	names, _ := filepath.Glob(filepath.Join(l.dir, backups)) // the pattern is well-formed
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	return append([]string{filepath.Join(l.dir, current)}, names...)
}
