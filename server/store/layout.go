package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/vpc"
)

// The layout of the keys in etcd, and of the objects' JSON in their values. Whatever an older
// program would misread or lose needs a new layout.
//
//	/sallyport/v1/<account>/<region>/<kind>/<id>      one object with its parts inside, as JSON
//	/sallyport/v1/<account>/<region>/fence            compared and written by every transaction
//	/sallyport/v1/<account>/<region>/commit/<server>  id of that server's last transaction
const (
	root   = "/sallyport/v"
	layout = "1"
)

// keys makes and reads the keys of one account and region.
type keys struct {
	prefix string // ends in a slash
	fence  string
	commit string // prefix of the markers
}

func newKeys(account vpc.AccountID, region string) keys {
	p := root + layout + "/" + string(account) + "/" + region + "/"
	return keys{prefix: p, fence: p + "fence", commit: p + "commit/"}
}

// account returns the prefix of all regions of the account.
func (k keys) account() string {
	return k.prefix[:strings.LastIndexByte(strings.TrimSuffix(k.prefix, "/"), '/')+1]
}

func (k keys) object(o vpc.Key) string { return k.prefix + string(o.Kind) + "/" + o.ID }

// key returns the identity of the object under an etcd key; ok is false for the fence and markers.
func (k keys) key(etcd string) (key vpc.Key, ok bool, err error) {
	if etcd == k.fence || strings.HasPrefix(etcd, k.commit) {
		return vpc.Key{}, false, nil
	}
	kind, id, found := strings.Cut(strings.TrimPrefix(etcd, k.prefix), "/")
	if !found || id == "" {
		return vpc.Key{}, false, fmt.Errorf("unknown key %q in the store: use a newer sallyport", etcd)
	}
	if _, err := vpc.New(vpc.Kind(kind)); err != nil {
		return vpc.Key{}, false, fmt.Errorf("key %q in the store: %w: use a newer sallyport", etcd, err)
	}
	return vpc.Key{Kind: vpc.Kind(kind), ID: id}, true, nil
}

// decode reads an object. A field that this program does not know is an error: writing the object
// back would lose it.
func decode(key vpc.Key, value []byte) (vpc.Object, error) {
	o, err := vpc.New(key.Kind)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(o); err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", key.Kind, key.ID, err)
	}
	if o.Key() != key {
		return nil, fmt.Errorf("%s %s is stored under the key of %s %s", o.Key().Kind, o.Key().ID, key.Kind, key.ID)
	}
	return o, nil
}

// layoutOf returns the layout version in a key below root.
func layoutOf(etcd string) string {
	v, _, _ := strings.Cut(strings.TrimPrefix(etcd, root), "/")
	return v
}
