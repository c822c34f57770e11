package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func setPasswordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set-password NAME",
		Short: "Give a user a password for the console, or take it away",
		Long: `Give a user a password for the console, or with --remove take it away. It is asked for twice at a terminal,
else it is the first line of the standard input. It has 12 characters or more. What the user is signed in with
to the console ends; access keys and their sessions go on.`,
		Example: `  sallyport users set-password ann
  sallyport users set-password ann < password-file`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := &wire.SetPasswordRequest{UserName: &args[0]}
			done := "removed the password of "
			if remove, _ := cmd.Flags().GetBool("remove"); !remove {
				password, err := readPassword(cmd.InOrStdin(), cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				in.Password, done = new(wire.Secret(password)), "set the password of "
			}
			return ask(cmd, wire.SetPasswordCall, in,
				func(*wire.SetPasswordResult) table { return table{{done + args[0]}} })
		},
	}
	cmd.Flags().Bool("remove", false, "take the password away: the user signs in with links alone")
	return cmd
}

// readPassword reads a line: from a terminal unseen, and once more.
func readPassword(stdin io.Reader, prompts io.Writer) (string, error) {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(stdin, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", usagef("there is no password on the standard input")
		}
		return line, nil
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(prompts, prompt)
		line, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(prompts)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = string(line)
	}
	if typed[0] != typed[1] {
		return "", usagef("the two are not the same")
	}
	return typed[0], nil
}
