package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func consoleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "console",
		GroupID: "ask",
		Short:   "Print a link that signs you in to the console, once",
		Long: `Print a link that signs you in to the console of a server on this machine, as the user whose key is in
its data directory. The link works once, for 15 minutes or as long as --valid-for says. What comes of it ends
with the session: by signing out, after two hours without use, after twelve in any case.`,
		Example: "  sallyport console",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newAPIClient(cmd)
			if err != nil {
				return err
			}
			valid, _ := cmd.Flags().GetDuration("valid-for")
			l, err := signInLink(cmd.Context(), c, valid)
			if err != nil {
				return err
			}
			return table{{l.URL}, {"It signs you in once, until " + when(&l.Expiration) + "."}}.print(cmd, l)
		},
	}
	cmd.Flags().Duration("valid-for", 15*time.Minute, "how long the link works, up to 12h")
	apiFlags(cmd)
	return cmd
}

// link signs somebody in to the console, once.
type link struct {
	URL        string
	Expiration time.Time
}

// signInLink asks for a link for the client's user. The token is behind the #: browsers keep that to themselves.
func signInLink(ctx context.Context, c *apiClient, valid time.Duration) (*link, error) {
	out, err := do(ctx, c, wire.CreateSignInTokenCall, &wire.CreateSignInTokenRequest{DurationSeconds: new(int32(valid / time.Second))})
	if err != nil {
		return nil, err
	}
	return &link{fmt.Sprintf("%s/#token=%s", c.endpoint.URL, string(wire.Value(out.Token))), wire.Value(out.Expiration)}, nil
}
