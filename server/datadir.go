package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// CheckDataDir refuses a data directory in which somebody else could put links where files are to be
// written. One that is not there is fine: it is made for this user alone.
func CheckDataDir(dir string) error {
	link, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // what may not be seen cannot be made either
	}
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	i, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	if !i.IsDir() {
		return fmt.Errorf("the data directory %s is no directory; name another with --data-dir", dir)
	}
	self := uint32(os.Geteuid())
	for _, i := range []fs.FileInfo{link, i} {
		s, ok := i.Sys().(*syscall.Stat_t)
		if !ok || s.Uid != self {
			return fmt.Errorf("the data directory %s is not this user's own; name another with --data-dir, or chown it", dir)
		}
	}
	if i.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others than its owner may write to the data directory %s (mode %#o); name another with --data-dir, "+
			"or chmod it to 0700", dir, i.Mode().Perm())
	}
	return nil
}
