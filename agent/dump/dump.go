// Package dump asks the kernel for whole lists.
package dump

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// Whole calls list again as long as the kernel says that what is listed changed meanwhile: such a list
// may lack what was there all the time.
func Whole[T any](list func() ([]T, error)) ([]T, error) {
	for {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
}
