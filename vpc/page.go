package vpc

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Page asks for a part of a Describe call's answer.
type Page struct {
	Max   *int32 // nil: all that there is
	Token string // from the answer before; "": the beginning
}

// What MaxResults may be, for every call that is served.
const (
	minPage = 5
	maxPage = 1000
)

// paginate returns the items of one page in the order of their keys, and the token of the next page,
// "" if there is none. It sorts items in place. A key is unique among the items and never changes, so
// that an object which is there throughout is on exactly one page, whatever comes and goes meanwhile.
// kind keeps the token of one call from being used with another.
func paginate[T any](items []T, kind string, key func(T) string, p Page) ([]T, string, error) {
	if p.Max != nil && *p.Max < minPage {
		return nil, "", Errorf(CodeInvalidParameterValue,
			"Value ( %d ) for parameter maxResults is invalid. Expecting a value greater than %d.", *p.Max, minPage)
	}
	if p.Max != nil && *p.Max > maxPage {
		return nil, "", Errorf(CodeInvalidParameterValue,
			"Value ( %d ) for parameter maxResults is invalid. Expecting a value less than %d.", *p.Max, maxPage)
	}
	slices.SortFunc(items, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	if p.Token != "" {
		after, ok := parseToken(kind, p.Token)
		if !ok {
			return nil, "", Errorf(CodeInvalidNextToken, "The token '%s' is invalid", p.Token)
		}
		i, found := slices.BinarySearchFunc(items, after, func(item T, k string) int {
			return strings.Compare(key(item), k)
		})
		if found {
			i++
		}
		items = items[i:]
	}
	if p.Max == nil || len(items) <= int(*p.Max) {
		return items, "", nil
	}
	items = items[:*p.Max]
	return items, newToken(kind, key(items[len(items)-1])), nil
}

// createdKey orders objects by the time they were made, then by id.
func createdKey[ID ~string](created time.Time, id ID) string {
	return fmt.Sprintf("%020d %s", created.UnixNano(), id)
}

func newToken(kind, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(kind + "\n" + key))
}

func parseToken(kind, token string) (key string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), kind+"\n")
}
