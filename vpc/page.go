package vpc

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Page asks for a part of a Describe call's answer.
type Page struct {
	Max   *int32 // nil: all that there is
	Token string // from the answer before; "": the beginning
	Least int32  // what Max may be at least; 0: 5
}

// What MaxResults may be, where the call has no narrower bounds.
const (
	minPage = 5
	maxPage = 1000
)

// paginate returns the items of one page in the order of their keys, and the token of the next page,
// "" if there is none. A key is unique among the items and never changes, so that an object which is
// there throughout is on exactly one page, whatever comes and goes meanwhile.
// kind keeps the token of one call from being used with another.
func paginate[T any](items []T, kind string, key func(T) string, p Page) ([]T, string, error) {
	if least := cmp.Or(p.Least, minPage); p.Max != nil && *p.Max < least {
		return nil, "", Errorf(CodeInvalidParameterValue,
			"Value ( %d ) for parameter maxResults is invalid. Expecting a value greater than %d.", *p.Max, least)
	}
	if p.Max != nil && *p.Max > maxPage {
		return nil, "", Errorf(CodeInvalidParameterValue,
			"Value ( %d ) for parameter maxResults is invalid. Expecting a value less than %d.", *p.Max, maxPage)
	}
	type keyed struct {
		key  string
		item T
	}
	all := make([]keyed, len(items)) // a key costs more than a comparison
	for i, item := range items {
		all[i] = keyed{key(item), item}
	}
	slices.SortFunc(all, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	if p.Token != "" {
		after, ok := ParseToken(kind, p.Token)
		if !ok {
			return nil, "", Errorf(CodeInvalidNextToken, "The token '%s' is invalid", p.Token)
		}
		i, found := slices.BinarySearchFunc(all, after, func(k keyed, after string) int {
			return strings.Compare(k.key, after)
		})
		if found {
			i++
		}
		all = all[i:]
	}
	next := ""
	if p.Max != nil && len(all) > int(*p.Max) {
		all = all[:*p.Max]
		next = NewToken(kind, all[len(all)-1].key)
	}
	out := make([]T, len(all))
	for i, k := range all {
		out[i] = k.item
	}
	return out, next, nil
}

// createdKey orders objects by the time they were made, then by id.
func createdKey[ID ~string](created time.Time, id ID) string {
	var digits [20]byte
	n := strconv.AppendInt(digits[:0], created.UnixNano(), 10)
	return "00000000000000000000"[len(n):] + string(n) + " " + string(id)
}

// checkBytes of a token tell one of ours from one that was cut short or guessed.
const checkBytes = 4

// NewToken makes the token of the page behind a key.
func NewToken(kind, key string) string {
	b := []byte(kind + "\n" + key)
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:checkBytes]...))
}

// ParseToken is the inverse of NewToken; ok is false for what that never made for this kind.
func ParseToken(kind, token string) (key string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < checkBytes {
		return "", false
	}
	key, ok = strings.CutPrefix(string(b[:len(b)-checkBytes]), kind+"\n")
	return key, ok && NewToken(kind, key) == token // one spelling, too: the decoder is lenient
}
