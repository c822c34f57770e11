package datapath

import (
	"flag"
	"os"
)

// A mutant of the programs, which mutants_test.go in the root makes, stands in for them.
func init() {
	flag.Func("object", "load this BPF object instead of the one that is built in", func(path string) (err error) {
		_GuestBytes, err = os.ReadFile(path)
		return err
	})
}
