package wire

import (
	"encoding/base64"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a form. They are far above what EC2's own quotas let a call carry.
const (
	maxParameters = 10_000 // as net/url's own bound
	maxDepth      = 16     // segments of a name
	maxName       = 512    // bytes of a name
)

var tooMany = refuse("InvalidRequest", "The request has more than %d parameters.", maxParameters)

// Form holds the parameters of one request as a tree. It is immutable, but for what decoding it finds to be secret.
type Form struct{ root node }

// node is one segment of a parameter's name: IpPermissions.1.FromPort is three. Lists are sorted by index.
type node struct {
	name  string // the segment
	path  string // the name up to here
	index int    // name as the index of a list entry, from 1; 0: it is none
	value string
	set   bool // a value was given for path itself
	// hidden is set by decoding: the value is a secret, or of a parameter that the operation does not know.
	hidden bool
	kids   []node
}

// ParseForm reads the parameters of the query string and of the body of one request. Errors are of type *[Error]:
// MalformedQueryString (bad escapes, a name twice, unless once in each with one value), InvalidCharacter (what XML cannot carry), InvalidRequest (bounds).
func ParseForm(query, body string) (*Form, error) {
	if strings.Count(query, "&")+strings.Count(body, "&") >= maxParameters { // before anything is allocated for them
		return nil, tooMany
	}
	all, err := url.ParseQuery(query)
	if err != nil {
		return nil, refuse("MalformedQueryString", "The query string contains a syntax error.")
	}
	more, err := url.ParseQuery(body)
	if err != nil {
		return nil, refuse("MalformedQueryString", "The body contains a syntax error.")
	}
	for k, v := range more {
		if len(v) == 1 && slices.Equal(all[k], v) { // said twice, in two places, and the same
			continue
		}
		all[k] = append(all[k], v...)
	}
	return NewForm(all)
}

// NewForm builds the tree of parsed parameters. Errors: as of [ParseForm].
func NewForm(values url.Values) (*Form, error) {
	if len(values) > maxParameters {
		return nil, tooMany
	}
	params := make([]param, 0, len(values))
	for k, v := range values {
		switch {
		case len(v) == 0:
			continue
		case len(k) > maxName || strings.Count(k, ".") >= maxDepth:
			return nil, refuse("InvalidRequest", "The request has a parameter whose name is too long or too deep.")
		case !valid(k):
			return nil, refuse("InvalidCharacter", "The request has a parameter whose name contains an invalid character.")
		}
		params = append(params, param{k, v})
	}
	slices.SortFunc(params, func(a, b param) int { return compareNames(a.key, b.key) })
	for _, p := range params { // in order, so that the same request gets the same answer
		if len(p.values) > 1 {
			return nil, refuse("MalformedQueryString", "The parameter %s is given more than once.", p.key)
		}
		if !valid(p.values[0]) {
			return nil, refuse("InvalidCharacter", "The parameter %s contains an invalid character.", p.key)
		}
	}
	return &Form{root: node{kids: grow(params, 0)}}, nil
}

type param struct {
	key    string
	values []string
}

// compareNames orders names so that what shares a segment stands together: the dot sorts before everything else.
func compareNames(a, b string) int {
	for i := range min(len(a), len(b)) {
		switch x, y := a[i], b[i]; {
		case x == y:
		case x == '.':
			return -1
		case y == '.':
			return 1
		default:
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

// grow makes the nodes for the segment that starts at offset in every name of params.
func grow(params []param, offset int) []node {
	count, last := 0, ""
	for i := range params {
		if s := segment(params[i].key, offset); i == 0 || s != last {
			count, last = count+1, s
		}
	}
	nodes := make([]node, 0, count)
	for len(params) > 0 {
		key := params[0].key
		name := segment(key, offset)
		end := offset + len(name)
		n := node{name: name, path: key[:end], index: listIndex(name)}
		same := 0
		for same < len(params) && segment(params[same].key, offset) == name {
			same++
		}
		group := params[:same]
		if len(key) == end { // shorter names come first
			n.value, n.set = group[0].values[0], true
			group = group[1:]
		}
		if len(group) > 0 {
			n.kids = grow(group, end+1)
		}
		nodes = append(nodes, n)
		params = params[same:]
	}
	slices.SortStableFunc(nodes, func(a, b node) int { return a.index - b.index })
	return nodes
}

func segment(key string, offset int) string {
	s, _, _ := strings.Cut(key[offset:], ".")
	return s
}

// listIndex reads 1…999999999 without leading zeros, so that an entry has one spelling.
func listIndex(s string) int {
	if s == "" || len(s) > 9 || s[0] == '0' {
		return 0
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// valid reports whether XML 1.0 can carry s, so that every value can be answered as it came.
func valid(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf {
			return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !inXML(r) })
		}
	}
	return true
}

func inXML(r rune) bool {
	return r >= 0x20 && r < 0xD800 || r == '\t' || r == '\n' || r == '\r' || r > 0xDFFF && r < 0xFFFE || r > 0xFFFF
}

// Action is the name of the operation that is asked for.
func (f *Form) Action() string { return f.top("Action") }

// ClaimedAction is the Action of a request whose form is refused, "" if it names none.
func ClaimedAction(query, body string) string {
	for _, text := range []string{query, body} {
		values, _ := url.ParseQuery(text) // what can be read of it
		if action := values.Get("Action"); action != "" {
			return action
		}
	}
	return ""
}

// Version is the date of the API that the caller speaks.
func (f *Form) Version() string { return f.top("Version") }

func (f *Form) top(name string) string {
	for i := range f.root.kids {
		if k := &f.root.kids[i]; k.name == name && len(k.kids) == 0 {
			return k.value
		}
	}
	return ""
}

// Parameters yields the names and values of the request in order, without those that only select the operation or sign
// it. Values that decoding found to be secret, or not to belong to the operation, are left out. Decode first.
func (f *Form) Parameters() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i := range f.root.kids {
			if k := &f.root.kids[i]; !common(k) && !k.each(false, yield) {
				return
			}
		}
	}
}

func (n *node) each(hidden bool, yield func(name, value string) bool) bool {
	hidden = hidden || n.hidden
	if n.set {
		value := n.value
		if hidden {
			value = redacted
		}
		if !yield(n.path, value) {
			return false
		}
	}
	for i := range n.kids {
		if !n.kids[i].each(hidden, yield) {
			return false
		}
	}
	return true
}

// common reports whether every operation takes a parameter: what selects it, and what signs it.
func common(n *node) bool {
	if len(n.kids) > 0 {
		return false
	}
	switch n.name {
	case "Action", "Version", "AWSAccessKeyId", "SignatureVersion",
		"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
		"X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-User-Agent":
		return true
	}
	return false
}

// decoder collects what is wrong with a form while the generated code walks it.
type decoder struct {
	foreign, bad, absent *Error // the first of each kind
}

// first returns the error to answer. A misspelt name comes first: it explains a missing parameter.
func (d *decoder) first() error {
	for _, e := range []*Error{d.foreign, d.bad, d.absent} {
		if e != nil {
			return e
		}
	}
	return nil
}

// other is a parameter of the whole request that is no member of it.
func (d *decoder) other(n *node) {
	if !common(n) {
		d.unknown(n)
	}
}

// unknown refuses n, naming the first whole parameter below it.
func (d *decoder) unknown(n *node) {
	n.hidden = true
	for !n.set && len(n.kids) > 0 {
		n = &n.kids[0]
	}
	if d.foreign == nil {
		d.foreign = refuse("UnknownParameter", "The parameter %s is not recognized", n.path)
	}
}

func (d *decoder) fail(e *Error) {
	if d.bad == nil {
		d.bad = e
	}
}

func (d *decoder) invalid(n *node, expecting string) {
	d.fail(refuse("InvalidParameterValue", "Value (%s) for parameter %s is invalid. %s", n.value, n.path, expecting))
}

// twice refuses a list that is given under both of its names.
func (d *decoder) twice(n *node) {
	d.fail(refuse("InvalidParameterCombination", "The parameter %s is given under two names.", n.path))
}

// require notes that n lacks the member called name, unless it has it.
func (d *decoder) require(n *node, name string, has bool) {
	if has || d.absent != nil {
		return
	}
	if n.path != "" {
		name = n.path + "." + name
	}
	d.absent = refuse("MissingParameter", "The request must contain the parameter %s", name)
}

// text returns the value of a scalar.
func (d *decoder) text(n *node) (string, bool) {
	if len(n.kids) > 0 {
		d.unknown(&n.kids[0])
		return "", false
	}
	return n.value, true
}

func (d *decoder) string(n *node) *string {
	s, ok := d.text(n)
	if !ok {
		return nil
	}
	return &s
}

// choice is a string that must be one of values.
func (d *decoder) choice(n *node, values ...string) *string {
	s := d.string(n)
	if s != nil && !slices.Contains(values, *s) {
		d.invalid(n, "Expecting one of: "+strings.Join(values, ", ")+".")
	}
	return s
}

func (d *decoder) secret(n *node) *Secret {
	n.hidden = true
	return (*Secret)(d.string(n))
}

func (d *decoder) bool(n *node) *bool {
	s, ok := d.text(n)
	if !ok {
		return nil
	}
	v, err := strconv.ParseBool(s) // true, True, 1; false, False, 0
	if err != nil {
		d.invalid(n, "Expecting true or false.")
		return nil
	}
	return &v
}

func (d *decoder) number(n *node, bits int) (int64, bool) {
	s, ok := d.text(n)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 10, bits)
	if err != nil {
		d.invalid(n, "Expecting an integer of "+strconv.Itoa(bits)+" bits.")
	}
	return v, err == nil
}

func (d *decoder) int(n *node) *int32 {
	v, ok := d.number(n, 32)
	if !ok {
		return nil
	}
	return new(int32(v))
}

func (d *decoder) long(n *node) *int64 {
	v, ok := d.number(n, 64)
	if !ok {
		return nil
	}
	return &v
}

// within refuses a number outside of [low, high], both of which are allowed, in EC2's words and spelling.
func within[T int32 | int64](d *decoder, n *node, v *T, low, high T) *T {
	limit := ""
	switch {
	case v == nil:
		return nil
	case *v < low:
		limit = "greater than " + strconv.FormatInt(int64(low), 10)
	case *v > high:
		limit = "less than " + strconv.FormatInt(int64(high), 10)
	default:
		return v
	}
	d.fail(refuse("InvalidParameterValue", "Value ( %d ) for parameter %s is invalid. Expecting a value %s.",
		*v, strings.ToLower(n.path[:1])+n.path[1:], limit))
	return nil
}

func (d *decoder) time(n *node) *time.Time {
	s, ok := d.text(n)
	if !ok {
		return nil
	}
	v, err := time.Parse(time.RFC3339, s) // takes fractions of seconds, too
	if err != nil {
		d.invalid(n, "Expecting a time as 2006-01-02T15:04:05Z.")
		return nil
	}
	v = v.UTC()
	return &v
}

func (d *decoder) blob(n *node) []byte {
	s, ok := d.text(n)
	if !ok {
		return nil
	}
	v, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		d.fail(refuse("InvalidParameterValue", "The parameter %s is not valid base64.", n.path)) // without the value: it may be a secret
		return nil
	}
	return v
}

func (d *decoder) secretBlob(n *node) *Secret {
	n.hidden = true
	v := d.blob(n)
	if v == nil {
		return nil
	}
	return new(Secret(v))
}

// object decodes a structure.
func object[T any](d *decoder, n *node, decode func(*T, *decoder, *node)) *T {
	v := new(T)
	if d.object(n) {
		decode(v, d, n)
	}
	return v
}

// object reports whether n is a structure: it has members, and no value of its own.
func (d *decoder) object(n *node) bool {
	switch {
	case !n.set:
		return true
	case n.value == "":
		d.fail(refuse("InvalidRequest", "The request received was invalid."))
	default:
		d.unknown(n)
	}
	return false
}

// objects decodes a list of structures.
func objects[T any](d *decoder, n *node, decode func(*T, *decoder, *node)) []T {
	if !d.list(n) {
		return nil
	}
	v := make([]T, len(n.kids))
	for i := range n.kids {
		if d.object(&n.kids[i]) {
			decode(&v[i], d, &n.kids[i])
		}
	}
	return v
}

// values decodes a list of scalars.
func values[T any](d *decoder, n *node, decode func(*decoder, *node) *T) []T {
	if !d.list(n) {
		return nil
	}
	v := make([]T, len(n.kids))
	for i := range n.kids {
		v[i] = Value(decode(d, &n.kids[i]))
	}
	return v
}

// list reports whether n is one: Name.1, Name.2… with any gaps, or Name= for an empty one.
func (d *decoder) list(n *node) bool {
	if n.set && n.value != "" {
		d.unknown(n)
		return false
	}
	for i := range n.kids {
		if n.kids[i].index == 0 {
			d.unknown(&n.kids[i])
			return false
		}
	}
	return true
}
