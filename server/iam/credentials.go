package iam

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/sallyport/sallyport/vpc"
)

// credentials are an access key as its user has it.
type credentials struct {
	ID     vpc.AccessKeyID
	Secret string
}

// newCredentials returns a fresh access key in the shape of AWS's: AKIA and 16 letters and digits,
// and a secret of 40 characters.
func newCredentials() credentials {
	secret := make([]byte, 30)
	rand.Read(secret)
	return credentials{vpc.AccessKeyID("AKIA" + rand.Text()[:16]), base64.StdEncoding.EncodeToString(secret)}
}

// newULA returns a random /48 of fd00::/8. Source: RFC 4193, section 3.2.
func newULA() netip.Prefix {
	a := [16]byte{0: 0xfd}
	rand.Read(a[1:6])
	return netip.PrefixFrom(netip.AddrFrom16(a), 48)
}

// credentialsFile is the one form in which we write the file, and take it up again.
// Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
var credentialsFile = regexp.MustCompile(`(?m)\A\[default\]\naws_access_key_id = (AKIA[A-Z2-7]{16})\naws_secret_access_key = ([A-Za-z0-9+/]{40})\s*\z`)

func writeCredentials(file string, c credentials) error {
	return writePrivate(file, fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", c.ID, c.Secret))
}

// readCredentials reads a file that writeCredentials wrote. Its key becomes the administrator's of a
// store that has none: the same directory with another etcd, say.
func readCredentials(file string) (credentials, error) {
	text, err := readPrivate(file)
	if err != nil {
		return credentials{}, err
	}
	m := credentialsFile.FindStringSubmatch(text)
	if m == nil {
		return credentials{}, fmt.Errorf("%s was not written by this program: move it away", file)
	}
	return credentials{vpc.AccessKeyID(m[1]), m[2]}, nil
}

// ReplaceCredentials puts another key into a credentials file in the place of the one with the id old,
// and leaves the rest of the file as it is. The file is replaced whole: a reader sees the old or the new
// one. It is refused if old is not in it, once.
func ReplaceCredentials(file, old, id, secret string) error {
	text, err := readPrivate(file)
	if err != nil {
		return err
	}
	place := regexp.MustCompile(`(?m)^(aws_access_key_id *= *)` + regexp.QuoteMeta(old) + `( *\n(?:[^\[\n].*\n|\n)*?aws_secret_access_key *= *)\S+`)
	if found := place.FindAllStringIndex(text, -1); len(found) != 1 {
		return fmt.Errorf("%s holds the key %s with its secret %d times, want once", file, old, len(found))
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer os.Remove(f.Name())
	if info, statErr := os.Stat(file); statErr == nil { // root may have been asked to do it for the server's user
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			err = f.Chown(int(owner.Uid), int(owner.Gid))
		}
	}
	if err == nil {
		_, err = f.WriteString(place.ReplaceAllString(text, "${1}"+id+"${2}"+secret))
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return syncDir(file)
}

// readPrivate reads a file that nobody but its owner may read or write.
func readPrivate(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s has mode %04o, others may use it: find out who did, then chmod 600", file, mode.Perm())
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

// writePrivate writes a file, whole or not at all, that only this user may read. One that another
// server made at the same moment stays.
func writePrivate(file, text string) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Link(f.Name(), file)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return syncDir(file)
}

// syncDir brings the name of a file to disk.
func syncDir(file string) error {
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
