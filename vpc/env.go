package vpc

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// Env is what an action may not find out for itself: the time and fresh ids. An action that runs
// again, because another server wrote first, may get other ids.
type Env struct {
	Now time.Time                  // UTC
	ID  func(prefix string) string // "sg" → "sg-0123456789abcdef0"; never the same twice
}

// RandomID returns the prefix, a dash and 17 random hex digits: the id source outside of tests.
func RandomID(prefix string) string {
	var b [9]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return prefix + "-" + hex.EncodeToString(b[:])[:17]
}
