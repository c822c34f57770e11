package wire

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// The put functions append one member of a result. An absent one appends nothing.

func putText(b []byte, name, text string) []byte {
	b = append(append(append(b, '<'), name...), '>')
	b = appendEscaped(b, text)
	return append(append(append(b, "</"...), name...), '>')
}

func putString(b []byte, name string, v *string) []byte {
	if v == nil {
		return b
	}
	return putText(b, name, *v)
}

// putSecret shows a secret to the one who asked for it.
func putSecret(b []byte, name string, v *Secret) []byte { return putString(b, name, (*string)(v)) }

func putBool(b []byte, name string, v *bool) []byte {
	if v == nil {
		return b
	}
	return putText(b, name, strconv.FormatBool(*v))
}

func putNumber[T int32 | int64](b []byte, name string, v *T) []byte {
	if v == nil {
		return b
	}
	b = append(append(append(b, '<'), name...), '>')
	b = strconv.AppendInt(b, int64(*v), 10)
	return append(append(append(b, "</"...), name...), '>')
}

func putDouble(b []byte, name string, v *float64) []byte {
	if v == nil {
		return b
	}
	return putText(b, name, strconv.FormatFloat(*v, 'g', -1, 64))
}

const timeLayout = "2006-01-02T15:04:05.000Z"

func putTime(b []byte, name string, v *time.Time) []byte {
	if v == nil {
		return b
	}
	return putText(b, name, v.UTC().Format(timeLayout))
}

func putObject[T any](b []byte, name string, v *T, encode func(*T, []byte) []byte) []byte {
	if v == nil {
		return b
	}
	b = encode(v, append(append(append(b, '<'), name...), '>'))
	return append(append(append(b, "</"...), name...), '>')
}

func putObjects[T any](b []byte, name, item string, list []T, encode func(*T, []byte) []byte) []byte {
	if list == nil {
		return b
	}
	if len(list) == 0 {
		return append(append(append(b, '<'), name...), "/>"...)
	}
	b = append(append(append(b, '<'), name...), '>')
	for i := range list {
		b = putObject(b, item, &list[i], encode)
	}
	return append(append(append(b, "</"...), name...), '>')
}

func putValues[T any](b []byte, name, item string, list []T, put func([]byte, string, *T) []byte) []byte {
	if list == nil {
		return b
	}
	if len(list) == 0 {
		return append(append(append(b, '<'), name...), "/>"...)
	}
	b = append(append(append(b, '<'), name...), '>')
	for i := range list {
		b = put(b, item, &list[i])
	}
	return append(append(append(b, "</"...), name...), '>')
}

// orEmpty makes a list that is absent one that is written.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// appendEscaped writes s as character data. What XML cannot carry becomes U+FFFD, as in encoding/xml; white space other
// than blanks is written by number, or a parser would normalise it.
func appendEscaped(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c, width, esc := s[i], 1, ""
		switch {
		case c == '&':
			esc = "&amp;"
		case c == '<':
			esc = "&lt;"
		case c == '>':
			esc = "&gt;"
		case c == '"':
			esc = "&#34;"
		case c == '\'':
			esc = "&#39;"
		case c == '\t':
			esc = "&#x9;"
		case c == '\n':
			esc = "&#xA;"
		case c == '\r':
			esc = "&#xD;"
		case c < 0x20:
			esc = "\uFFFD"
		case c >= utf8.RuneSelf:
			var r rune
			if r, width = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && width == 1 || !inXML(r) {
				esc = "\uFFFD"
			}
		}
		if esc != "" {
			b = append(append(b, s[start:i]...), esc...)
			start = i + width
		}
		i += width
	}
	return append(b, s[start:]...)
}
