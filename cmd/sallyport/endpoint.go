package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server"
)

// endpoint is what clients on this machine need to know of a server. It is in the server's data
// directory, as endpoint.json, from when the server was first ready.
type endpoint struct {
	URL         string `json:"endpoint"`
	Region      string `json:"region"`
	Credentials string `json:"credentials"` // file
}

// endpointOf returns how a server with that configuration is reached from its own machine.
func endpointOf(c server.Config) (endpoint, error) {
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return endpoint{}, fmt.Errorf("record the endpoint: %w", err)
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return endpoint{}, fmt.Errorf("record the endpoint: %w", err)
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	return endpoint{scheme + "://" + net.JoinHostPort(host, port), c.Region, filepath.Join(dir, "credentials")}, nil
}

// recordEndpoint writes a server's endpoint.json: whole, or not at all.
func recordEndpoint(c server.Config) error {
	e, err := endpointOf(c)
	if err != nil {
		return err
	}
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("record the endpoint: %w", err)
	}
	f, err := os.CreateTemp(c.DataDir, "endpoint-*.json")
	if err != nil {
		return fmt.Errorf("record the endpoint: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(c.DataDir, "endpoint.json"))
	}
	if err != nil {
		return fmt.Errorf("record the endpoint: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// readEndpoint reads what a server on that data directory wrote when it was ready.
func readEndpoint(dir string) (endpoint, error) {
	var e endpoint
	b, err := os.ReadFile(filepath.Join(dir, "endpoint.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e, fmt.Errorf("no server was started on %s: start one with sallyport dev or sallyport server, or name its --data-dir", dir)
	case errors.Is(err, fs.ErrPermission):
		return e, fmt.Errorf("%s may not be read: run this as the user that runs dev or the server (sudo)", dir)
	case err != nil:
		return e, fmt.Errorf("read the endpoint: %w", err)
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fmt.Errorf("read the endpoint: %s: %w", dir, err)
	}
	return e, nil
}

// printEnv prints lines for a shell. What its environment says of another cloud would win over the
// credentials, so it goes first.
func printEnv(w io.Writer, e endpoint) {
	fmt.Fprintln(w, "unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_ENDPOINT_URL_EC2")
	fmt.Fprintf(w, "export AWS_ENDPOINT_URL=%s\n", quote(e.URL))
	fmt.Fprintf(w, "export AWS_SHARED_CREDENTIALS_FILE=%s\n", quote(e.Credentials))
	fmt.Fprintf(w, "export AWS_DEFAULT_REGION=%s AWS_REGION=%s AWS_PAGER=\n", e.Region, e.Region)
	fmt.Fprintf(w, "alias aws=%s  # for clients before 2023, Debian 12's among them\n", quote("aws --endpoint-url "+quote(e.URL)))
}

// quote makes a word that a shell takes as it is.
func quote(s string) string {
	for _, r := range s {
		if !(strings.ContainsRune("/.-_:", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	return s
}

func envCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "env",
		GroupID: "ask",
		Short:   "Print what AWS clients need to reach a server on this machine, to paste or eval",
		Example: "  eval \"$(sallyport env)\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("data-dir")
			e, err := readEndpoint(dir)
			if err != nil {
				return err
			}
			if o, _ := cmd.Flags().GetString("output"); o == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
			}
			printEnv(cmd.OutOrStdout(), e)
			return nil
		},
	}
	apiFlags(cmd)
	return cmd
}
