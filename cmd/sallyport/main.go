// Command sallyport is the whole product in one binary: the server, the agent, both of them
// together for development, and what an operator types.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// The exit codes of every command.
const (
	exitDone    = 0
	exitRefused = 1 // refused, denied, or it could not be done
	exitUsage   = 2
)

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if child, ok := errors.AsType[*exitError](err); ok && child.code > 0 {
		return child.code // it has said why
	}
	fmt.Fprintf(stderr, "sallyport: %v\n", err)
	if _, usage := errors.AsType[*usageError](err); usage {
		return exitUsage
	}
	return exitRefused
}

// usageError is the caller's mistake in the command line or a configuration file.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "sallyport",
		Example: `  sudo sallyport dev
  eval "$(sallyport env)" && aws ec2 describe-security-groups`,
		Short:                      "EC2 Security Groups for any Linux machine",
		Version:                    version(),
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		Args:                       unknownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w (see: %s --help)", err, cmd.CommandPath())
	})
	root.PersistentFlags().String("output", "text", "text, or json for scripts")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if o, _ := cmd.Flags().GetString("output"); o != "text" && o != "json" {
			return usagef("--output is text or json, not %q", o)
		}
		return nil
	}
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "host", Title: "On this host:"},
		&cobra.Group{ID: "ask", Title: "Ask the server:"},
	)
	for _, c := range []*cobra.Command{
		devCommand(), serverCommand(), agentCommand(),
		bindCommand(), unbindCommand(), bindingsCommand(), doctorCommand(), envCommand(), consoleCommand(), enforcementCommand(),
		ruleCountersCommand(), dropsCommand(), observeCommand(),
		connectionsCommand(), cutConnectionsCommand(), explainReachabilityCommand(),
		quotasCommand(), usersCommand(), keysCommand(), auditCommand(),
	} {
		settleArgs(c)
		root.AddCommand(c)
	}
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = knownTopic
		case "completion":
			// With something to run, cobra looks at its arguments.
			c.Args, c.RunE = unknownCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}

// unknownCommand refuses what is no command, and says what may be meant.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see: sallyport --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("there is no command %q (%s)", args[0], hint)
}

// knownTopic refuses help on what is no command.
func knownTopic(cmd *cobra.Command, args []string) error {
	found, rest, err := cmd.Root().Find(args)
	if err != nil {
		return &usageError{err}
	}
	return unknownCommand(found, rest)
}

// settleArgs makes a wrong number of arguments a usage error. Shells offer no files for them: none of ours is one.
func settleArgs(c *cobra.Command) {
	if c.ValidArgsFunction == nil {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	check := c.Args
	if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%w (usage: %s)", err, cmd.UseLine())
		}
		return nil
	}
}

// version is the module's version or the commit, as the Go tool recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = s.Value
		}
	}
	return v
}
