package iam

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sallyport/sallyport/vpc"
)

// seal encrypts secrets with AES-256-GCM under the key in a file of its own.
type seal struct {
	file string
	aead cipher.AEAD
}

const sealKeyBytes = 32

// openSeal reads the key, 64 hex digits. If there is none it makes one, unless secrets are sealed
// already.
func openSeal(file string, mayMake bool) (*seal, error) {
	text, err := readPrivate(file)
	if errors.Is(err, os.ErrNotExist) {
		if !mayMake {
			return nil, fmt.Errorf("%s is missing, and the secrets in the store cannot be read without it: copy it from a backup or from another server", file)
		}
		key := make([]byte, sealKeyBytes)
		rand.Read(key)
		if err := writePrivate(file, hex.EncodeToString(key)+"\n"); err != nil {
			return nil, err
		}
		text, err = readPrivate(file)
	}
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != sealKeyBytes {
		return nil, fmt.Errorf("%s does not hold %d hex digits: copy it from a backup", file, 2*sealKeyBytes)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use %s: %w", file, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("use %s: %w", file, err)
	}
	return &seal{file, aead}, nil
}

// accessKey returns the object to store for credentials of a user.
func (s *seal) accessKey(c credentials, user string) *vpc.AccessKey {
	k := &vpc.AccessKey{ID: c.ID, User: user}
	k.Sealed = s.aead.Seal(nil, nil, []byte(c.Secret), bound(k))
	return k
}

// open returns the secret of an access key.
func (s *seal) open(k *vpc.AccessKey) (string, error) {
	secret, err := s.aead.Open(nil, nil, k.Sealed, bound(k))
	if err != nil {
		return "", fmt.Errorf("access key %s was not sealed with %s: copy that file from the server that made the key", k.ID, s.file)
	}
	return string(secret), nil
}

// bound is what a sealed secret is good for: it opens under no other id and for no other user.
func bound(k *vpc.AccessKey) []byte { return []byte(string(k.ID) + "\x00" + k.User) }
