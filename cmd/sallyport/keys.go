package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/server/iam"
	"github.com/sallyport/sallyport/vpc"
)

func keysCommand() *cobra.Command {
	list := &cobra.Command{
		Use:     "keys [USER]",
		GroupID: "ask",
		Short:   "List access keys and sessions, or manage keys",
		Long: `List access keys and sessions, or manage keys. Their secrets are shown once, when a key is made. A user has
two keys at most, so that one can take the place of the other. Sessions are made with
aws sts get-session-token; they end with the key that they were asked for with. Who is signed in to the console
has keys for 15 minutes at a time: deleting one ends that session.`,
		Example: `  sallyport keys create ann
  sallyport keys rotate`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := &wire.DescribeAccessKeysRequest{}
			if len(args) > 0 {
				in.UserName = &args[0]
			}
			return all(cmd, wire.DescribeAccessKeysCall, in,
				func(in *wire.DescribeAccessKeysRequest, out, sum *wire.DescribeAccessKeysResult) bool {
					sum.AccessKeys = append(sum.AccessKeys, out.AccessKeys...)
					in.NextToken = out.NextToken
					return out.NextToken != nil
				},
				func(out *wire.DescribeAccessKeysResult) table { return keyTable(out.AccessKeys...) })
		},
	}
	create := &cobra.Command{
		Use:     "create USER",
		Short:   "Make a key for a user, and print it as a profile of AWS's credentials file",
		Example: "  sallyport keys create ann >> ~/.aws/credentials",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newAPIClient(cmd)
			if err != nil {
				return err
			}
			out, err := do(cmd.Context(), c, wire.CreateAccessKeyCall, &wire.CreateAccessKeyRequest{UserName: &args[0]})
			if err != nil {
				return err
			}
			return printKey(cmd, args[0], out)
		},
	}
	remove := &cobra.Command{
		Use:     "delete KEY",
		Short:   "Delete a key, with its sessions, or a session",
		Example: "  sallyport keys delete AKIAIOSFODNN7EXAMPLE",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, wire.DeleteAccessKeyCall, &wire.DeleteAccessKeyRequest{AccessKeyId: &args[0]},
				func(*wire.DeleteAccessKeyResult) table { return table{{"deleted " + args[0]}} })
		},
	}
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the key of the data directory's credentials file, and delete the old one",
		Long: `Replace the key of the data directory's credentials file: make a new key for its user, write it into the
file, see that it works, and delete the old one with its sessions. Other profiles in the file stay. With
--keep the old key is only disabled. Whatever happens on the way, the file holds a key that works; if the
old one is left over, "sallyport keys" shows it.`,
		Example: "  sallyport keys rotate",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newAPIClient(cmd)
			if err != nil {
				return err
			}
			keep, _ := cmd.Flags().GetBool("keep")
			key, old, err := rotateKey(cmd.Context(), c, keep)
			if err != nil {
				return err
			}
			done := "deleted"
			if keep {
				done = "disabled"
			}
			t := table{
				{"new key", wire.Value(key.AccessKeyId), "in " + c.endpoint.Credentials},
				{"old key", old, done},
			}
			return t.print(cmd, key)
		},
	}
	rotate.Flags().Bool("keep", false, "disable the old key, instead of deleting it")
	return family(list, create, switchKey("disable", "Refuse a key and its sessions until it is enabled", true),
		switchKey("enable", "Accept a key and its sessions again", false), remove, rotate)
}

func switchKey(verb, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " KEY",
		Short:   short,
		Example: "  sallyport keys " + verb + " AKIAIOSFODNN7EXAMPLE",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, wire.ModifyAccessKeyCall, &wire.ModifyAccessKeyRequest{AccessKeyId: &args[0], Disabled: &disabled},
				func(*wire.ModifyAccessKeyResult) table { return table{{verb + "d " + args[0]}} })
		},
	}
}

// rotateKey gives the caller another key, in the file that the client's is from, and ends the old one.
func rotateKey(ctx context.Context, c *apiClient, keep bool) (key *wire.AccessKey, old string, err error) {
	old = c.creds.AccessKeyID
	out, err := do(ctx, c, wire.CreateAccessKeyCall, &wire.CreateAccessKeyRequest{})
	if err != nil {
		if e, ok := errors.AsType[*wire.Error](err); ok && e.Code == string(vpc.CodeLimitExceeded) {
			return nil, "", fmt.Errorf("%w: delete the key that is left over first (sallyport keys, sallyport keys delete)", err)
		}
		return nil, "", err
	}
	id, secret := wire.Value(out.AccessKey.AccessKeyId), string(wire.Value(out.SecretAccessKey))
	before := c.creds
	c.creds = aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}
	// That it works is seen before anything is lost: a call that only this key can have signed.
	_, err = do(ctx, c, wire.DescribeAccessKeysCall, &wire.DescribeAccessKeysRequest{AccessKeyIds: []string{id}})
	if err == nil {
		err = iam.ReplaceCredentials(c.endpoint.Credentials, old, id, secret)
	}
	if err != nil {
		c.creds = before
		_, undo := do(ctx, c, wire.DeleteAccessKeyCall, &wire.DeleteAccessKeyRequest{AccessKeyId: &id})
		return nil, "", errors.Join(fmt.Errorf("the old key stays: %w", err), undo)
	}
	if keep {
		_, err = do(ctx, c, wire.ModifyAccessKeyCall, &wire.ModifyAccessKeyRequest{AccessKeyId: &old, Disabled: new(true)})
	} else {
		_, err = do(ctx, c, wire.DeleteAccessKeyCall, &wire.DeleteAccessKeyRequest{AccessKeyId: &old})
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s holds the new key, and the old one, %s, works still: %w", c.endpoint.Credentials, old, err)
	}
	return out.AccessKey, old, nil
}

// printKey prints a new key where its secret can be taken from: as a profile, or as JSON.
func printKey(cmd *cobra.Command, user string, out *wire.CreateAccessKeyResult) error {
	id, secret := wire.Value(out.AccessKey.AccessKeyId), string(wire.Value(out.SecretAccessKey))
	shown := struct{ UserName, AccessKeyId, SecretAccessKey string }{user, id, secret}
	return table{{fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s", user, id, secret)}}.print(cmd, shown)
}

func keyTable(keys ...wire.AccessKey) table {
	t := table{{"KEY", "USER", "STATE", "CREATED", "SESSION OF", "UNTIL"}}
	for _, k := range keys {
		parent := cmp.Or(wire.Value(k.ParentKeyId), "-")
		if wire.Value(k.ConsoleSession) {
			parent = "console"
		}
		t = append(t, []string{
			wire.Value(k.AccessKeyId), wire.Value(k.UserName), enabled(k.Disabled), when(k.Created), parent, when(k.Expires),
		})
	}
	return t
}

// since reads a time: RFC 3339, or a duration back from now.
func since(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return new(time.Now().UTC().Add(-d)), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, usagef("%q is neither a time as 2006-01-02T15:04:05Z nor how long ago, as 90m", text)
	}
	return &t, nil
}
