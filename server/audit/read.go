package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/vpc"
)

// Query asks for records. A zero field asks for nothing in particular.
type Query struct {
	User, Key, Action string
	Code              string // of the refusal
	ID                string // in the parameters or in the answer
	Start, End        time.Time
	Max               int    // records in the answer; required
	Token             string // from the answer before
}

// Read returns records, newest first, and the token for older ones, "" if there are none. A token that
// Read did not return is refused with InvalidNextToken.
func (l *Log) Read(ctx context.Context, q Query) ([]Record, string, error) {
	before := int64(0)
	if q.Token != "" {
		var err error
		if before, err = parseToken(q.Token); err != nil {
			return nil, "", err
		}
	}
	var found []Record
	for r, err := range l.backwards(ctx, q.words()) {
		switch {
		case err != nil:
			return nil, "", err
		case before != 0 && r.Seq >= before:
		case !q.Start.IsZero() && r.Time.Before(q.Start.Add(-longestCall)):
			return found, "", nil
		case !q.match(r):
		case len(found) == q.Max:
			return found, newToken(found[len(found)-1].Seq), nil
		default:
			found = append(found, r)
		}
	}
	return found, "", nil
}

// longestCall is by how much the records may be out of the order of their times: they are written when
// a call ends, and have the time of its beginning.
const longestCall = 10 * time.Minute

func (q Query) match(r Record) bool {
	has := func(want, got string) bool { return want == "" || want == got }
	return has(q.User, r.User) && has(q.Key, r.Key) && has(q.Action, r.Action) && has(q.Code, r.Code) &&
		(q.ID == "" || r.names(q.ID)) &&
		(q.Start.IsZero() || !r.Time.Before(q.Start)) && (q.End.IsZero() || r.Time.Before(q.End))
}

func (r Record) names(id string) bool {
	if slices.Contains(r.IDs, id) {
		return true
	}
	for _, v := range r.Parameters {
		if v == id {
			return true
		}
	}
	return false
}

// words returns what occurs in every line that matches, so that others need not be decoded.
func (q Query) words() [][]byte {
	var words [][]byte
	for _, w := range []string{q.User, q.Key, q.Action, q.Code, q.ID} {
		if w != "" && !strings.ContainsFunc(w, func(r rune) bool { return r < '-' || r > 'z' || r == '\\' }) { // JSON has it as it is
			words = append(words, []byte(w))
		}
	}
	return words
}

// backwards yields the records that hold all of the words, newest first. Lines that are no record, as a
// crash may leave, are left out.
func (l *Log) backwards(ctx context.Context, words [][]byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		l.mu.Lock() // it is not rotated between looking at the names and opening the first
		names := l.files()
		first, err := os.Open(names[0])
		l.mu.Unlock()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(Record{}, fmt.Errorf("read the audit log: %w", err))
			return
		}
		for i, name := range names {
			f := first
			if i > 0 {
				if f, err = os.Open(name); errors.Is(err, fs.ErrNotExist) {
					f = nil // it was the oldest
				} else if err != nil {
					yield(Record{}, fmt.Errorf("read the audit log: %w", err))
					return
				}
			}
			if f == nil {
				continue
			}
			more := records(ctx, f, words, yield)
			_ = f.Close() // it was only read
			if !more {
				return
			}
		}
	}
}

// records yields the records of one file, the last one first, and reports whether more are wanted.
func records(ctx context.Context, f *os.File, words [][]byte, yield func(Record, error) bool) bool {
	for line, err := range lines(f) {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			yield(Record{}, fmt.Errorf("read the audit log: %w", err))
			return false
		}
		if len(line) == 0 || slices.ContainsFunc(words, func(w []byte) bool { return !bytes.Contains(line, w) }) {
			continue
		}
		var r Record
		if json.Unmarshal(line, &r) != nil || r.Seq == 0 {
			continue
		}
		if !yield(r, nil) {
			return false
		}
	}
	return true
}

const chunk = 256 << 10 // bytes read at a time

// lines yields the whole lines of a file, the last one first. A line is valid until the next.
func lines(f *os.File) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		at, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			yield(nil, err)
			return
		}
		var rest []byte // what was read and not yielded: the end of a line that begins before at
		for at > 0 {
			n := min(at, chunk)
			at -= n
			b := make([]byte, n, int(n)+len(rest))
			if _, err := f.ReadAt(b, at); err != nil {
				yield(nil, err)
				return
			}
			b = append(b, rest...)
			for {
				i := bytes.LastIndexByte(b, '\n')
				if i < 0 {
					break
				}
				if !yield(b[i+1:], nil) {
					return
				}
				b = b[:i]
			}
			rest = b
		}
		yield(rest, nil)
	}
}

const tokenKind = "audit\n"

func newToken(seq int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(tokenKind + strconv.FormatInt(seq, 10)))
}

func parseToken(token string) (int64, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	text, ok := strings.CutPrefix(string(b), tokenKind)
	seq, numErr := strconv.ParseInt(text, 10, 64)
	if err != nil || !ok || numErr != nil || seq <= 0 {
		return 0, vpc.Errorf(vpc.CodeInvalidNextToken, "The token '%s' is invalid", token)
	}
	return seq, nil
}
