package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strconv"
	"strings"
)

// A host whose own firewall drops what it forwards (Docker sets iptables' policy so) would drop what
// guests of two subnets say to each other, and with br_netfilter what those of one bridge say. An
// accept rule for packets from bridge to bridge is put before the rules of such chains; whether a
// guest may send or receive them is for its groups alone.

// forwardComment marks our rules.
const forwardComment = "sallyport lab"

// chain is a base chain of nftables, iptables-nft's among them.
type chain struct{ Family, Table, Name, Hook, Policy string }

func (c chain) String() string { return c.Family + " " + c.Table + " " + c.Name }

// nft runs nft with JSON output; an empty answer if it is not installed.
func nft(out any, args ...string) error {
	b, err := exec.Command("nft", append([]string{"-j"}, args...)...).Output()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil
	case errors.As(err, &exit):
		return fmt.Errorf("nft %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	case err != nil:
		return fmt.Errorf("nft %s: %w", strings.Join(args, " "), err)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("nft %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// forwardChains lists the base chains that see forwarded packets.
func forwardChains() ([]chain, error) {
	var list struct{ Nftables []struct{ Chain *chain } }
	if err := nft(&list, "list", "chains"); err != nil {
		return nil, err
	}
	var cs []chain
	for _, o := range list.Nftables {
		if o.Chain != nil && o.Chain.Hook == "forward" {
			cs = append(cs, *o.Chain)
		}
	}
	return cs, nil
}

// ours returns the handles of our rules in a chain.
func (c chain) ours() ([]int, error) {
	var list struct {
		Nftables []struct {
			Rule *struct {
				Handle  int
				Comment string
			}
		}
	}
	if err := nft(&list, "list", "chain", c.Family, c.Table, c.Name); err != nil {
		return nil, err
	}
	var handles []int
	for _, o := range list.Nftables {
		if o.Rule != nil && o.Rule.Comment == forwardComment {
			handles = append(handles, o.Rule.Handle)
		}
	}
	return handles, nil
}

// ensureForward adds our rule to each chain that drops forwarded packets by default.
func ensureForward(log *slog.Logger) error {
	cs, err := forwardChains()
	if err != nil {
		return err
	}
	for _, c := range cs {
		if c.Policy != "drop" {
			continue
		}
		if there, err := c.ours(); err != nil {
			return err
		} else if len(there) > 0 {
			continue
		}
		devices := strconv.Quote(bridgePrefix + "*")
		if c.Family == "bridge" { // it sees the ports
			devices = strconv.Quote(vethPrefix + "*")
		}
		if err := nft(nil, "insert", "rule", c.Family, c.Table, c.Name,
			"iifname", devices, "oifname", devices, "accept", "comment", strconv.Quote(forwardComment)); err != nil {
			return err
		}
		log.Warn("the host's firewall drops forwarded packets: added a rule that accepts those between lab bridges, until the last guest goes",
			"chain", c.String(), "iifname", devices, "oifname", devices)
	}
	return nil
}

// removeForward removes our rules.
func removeForward() error {
	cs, err := forwardChains()
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range cs {
		handles, err := c.ours()
		errs = append(errs, err)
		for _, h := range handles {
			errs = append(errs, nft(nil, "delete", "rule", c.Family, c.Table, c.Name, "handle", strconv.Itoa(h)))
		}
	}
	return errors.Join(errs...)
}
