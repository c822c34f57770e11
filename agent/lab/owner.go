package lab

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const ownerFile = "owner"

// Own records in dir whose guests are here: those of the installation with the authority in caFile
// (PEM). It is an error if guests of another one are: this one's agent would remove them.
func Own(dir, caFile string) error {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("read the authority's certificate: %w", err)
	}
	if caFile, err = filepath.Abs(caFile); err != nil {
		return err
	}
	mine := fmt.Sprintf("%x %s", sha256.Sum256(ca), strings.TrimSuffix(filepath.Dir(caFile), "/pki"))
	hash, place, _ := strings.Cut(mine, " ")
	path := filepath.Join(dir, ownerFile)
	recorded, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read whose guests are here: %w", err)
	}
	theirs, where, _ := strings.Cut(string(recorded), " ")
	if theirs == hash {
		return nil
	}
	present, err := New(Options{Dir: dir}).present()
	if err != nil {
		return err
	}
	if len(present) > 0 {
		const remedy = "; to remove them, run `sallyport dev --purge`"
		switch where {
		case "":
			return errors.New("lab guests of an unknown installation are on this machine" + remedy)
		case place:
			return fmt.Errorf("lab guests of an earlier installation in %s are on this machine"+remedy, where)
		}
		return fmt.Errorf("lab guests of another installation, that of %s, are on this machine"+remedy, where)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the lab's directory: %w", err)
	}
	if err := os.WriteFile(path, []byte(mine), 0o600); err != nil {
		return fmt.Errorf("record whose guests are here: %w", err)
	}
	return nil
}
