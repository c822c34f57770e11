package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Call is the caller's side of an [Op]: request into form, XML into result.
type Call[In, Out any] struct {
	*Operation
	form  func(*In, *formWriter)
	parse func(*Out, *parser, *element)
}

// Form returns the parameters of the call, Action and Version among them.
func (c Call[In, Out]) Form(in *In) url.Values {
	w := formWriter{values: url.Values{"Action": {c.Name}, "Version": {c.Service.Version}}}
	c.form(in, &w)
	return w.values
}

// Parse reads the answer of a call that was accepted (HTTP 200). Elements that it does not know are skipped: a newer
// server may send more.
func (c Call[In, Out]) Parse(body []byte) (*Out, error) {
	root, err := parseXML(body)
	if err != nil {
		return nil, fmt.Errorf("parse the answer of %s: %w", c.Name, err)
	}
	if root.name != c.Name+"Response" {
		return nil, fmt.Errorf("parse the answer of %s: unexpected element %s", c.Name, root.name)
	}
	var p parser
	out := new(Out)
	c.parse(out, &p, root)
	if p.err != nil {
		return nil, fmt.Errorf("parse the answer of %s: %w", c.Name, p.err)
	}
	return out, nil
}

// ParseError reads the answer of a call that was refused, in either envelope, and returns the id of the request, too.
func ParseError(body []byte) (e *Error, requestID string, err error) {
	root, err := parseXML(body)
	if err != nil {
		return nil, "", fmt.Errorf("parse an error: %w", err)
	}
	e = &Error{}
	root.walk(func(k *element) {
		switch k.name {
		case "Code":
			e.Code = k.text
		case "Message":
			e.Message = k.text
		case "RequestID", "RequestId":
			requestID = k.text
		}
	})
	if e.Code == "" {
		return nil, requestID, fmt.Errorf("parse an error: no code in element %s", root.name)
	}
	return e, requestID, nil
}

// formWriter collects the parameters below a prefix, which ends in a dot or is empty.
type formWriter struct {
	values url.Values
	prefix string
}

// put adds one parameter.
func (w *formWriter) put(name, value string) { w.values[w.prefix+name] = []string{value} }

func (w *formWriter) string(name string, v *string) {
	if v != nil {
		w.put(name, *v)
	}
}

func (w *formWriter) secret(name string, v *Secret) { w.string(name, (*string)(v)) }

func (w *formWriter) bool(name string, v *bool) {
	if v != nil {
		w.put(name, strconv.FormatBool(*v))
	}
}

func (w *formWriter) int(name string, v *int32) {
	if v != nil {
		w.put(name, strconv.FormatInt(int64(*v), 10))
	}
}

func (w *formWriter) long(name string, v *int64) {
	if v != nil {
		w.put(name, strconv.FormatInt(*v, 10))
	}
}

func (w *formWriter) time(name string, v *time.Time) {
	if v != nil {
		w.put(name, v.UTC().Format(timeLayout))
	}
}

func writeObject[T any](w *formWriter, name string, v *T, write func(*T, *formWriter)) {
	if v != nil {
		write(v, &formWriter{w.values, w.prefix + name + "."})
	}
}

func writeObjects[T any](w *formWriter, name string, list []T, write func(*T, *formWriter)) {
	for i := range list {
		writeObject(w, name+"."+strconv.Itoa(i+1), &list[i], write)
	}
}

func writeValues[T any](w *formWriter, name string, list []T, write func(*formWriter, string, *T)) {
	for i := range list {
		write(w, name+"."+strconv.Itoa(i+1), &list[i])
	}
}

// element is one XML element; text is what stands in it outside of its kids.
type element struct {
	name string
	text string
	kids []*element
}

func (e *element) walk(visit func(*element)) {
	visit(e)
	for _, k := range e.kids {
		k.walk(visit)
	}
}

// parseXML reads one document. Namespaces and attributes say nothing that the names do not.
func parseXML(body []byte) (*element, error) {
	dec := xml.NewDecoder(bytes.NewReader(body))
	top := &element{}
	open := []*element{top}
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		last := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if len(open) > 2*maxDepth {
				return nil, errors.New("too deep")
			}
			e := &element{name: t.Name.Local}
			last.kids = append(last.kids, e)
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			last.text += string(t)
		}
	}
	if len(top.kids) != 1 {
		return nil, errors.New("want one root element")
	}
	return top.kids[0], nil
}

// parser keeps the first error of an answer.
type parser struct{ err error }

func (p *parser) fail(e *element, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("element %s: %w", e.name, err)
	}
}

func (p *parser) string(e *element) *string { return &e.text }

func (p *parser) bool(e *element) *bool {
	v, err := strconv.ParseBool(strings.TrimSpace(e.text))
	p.fail(e, err)
	return &v
}

func (p *parser) int(e *element) *int32 {
	v, err := strconv.ParseInt(strings.TrimSpace(e.text), 10, 32)
	p.fail(e, err)
	return new(int32(v))
}

func (p *parser) long(e *element) *int64 {
	v, err := strconv.ParseInt(strings.TrimSpace(e.text), 10, 64)
	p.fail(e, err)
	return &v
}

func (p *parser) secret(e *element) *Secret { return (*Secret)(p.string(e)) }

func (p *parser) time(e *element) *time.Time {
	v, err := time.Parse(time.RFC3339, strings.TrimSpace(e.text))
	p.fail(e, err)
	return &v
}

func parseObject[T any](p *parser, e *element, parse func(*T, *parser, *element)) *T {
	v := new(T)
	parse(v, p, e)
	return v
}

func parseObjects[T any](p *parser, e *element, parse func(*T, *parser, *element)) []T {
	v := make([]T, len(e.kids))
	for i, k := range e.kids {
		parse(&v[i], p, k)
	}
	return v
}

func parseValues[T any](p *parser, e *element, parse func(*parser, *element) *T) []T {
	v := make([]T, len(e.kids))
	for i, k := range e.kids {
		v[i] = *parse(p, k)
	}
	return v
}
