package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

func usersCommand() *cobra.Command {
	list := &cobra.Command{
		Use:     "users",
		GroupID: "ask",
		Short:   "List users, or manage them",
		Long: `List users, or manage them. A user is a person or program that calls the API with access keys of its own.
An administrator may call everything, a reader what changes nothing. With a password, or a link of sallyport
console, a user signs in to the console.`,
		Example: `  sallyport users create ann --role reader
  sallyport keys create ann`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return all(cmd, wire.DescribeUsersCall, &wire.DescribeUsersRequest{},
				func(in *wire.DescribeUsersRequest, out, sum *wire.DescribeUsersResult) bool {
					sum.Users = append(sum.Users, out.Users...)
					in.NextToken = out.NextToken
					return out.NextToken != nil
				},
				func(out *wire.DescribeUsersResult) table { return userTable(out.Users...) })
		},
	}
	create := &cobra.Command{
		Use:     "create NAME --role administrator|reader",
		Short:   "Make a user, who has no key yet",
		Example: "  sallyport users create ann --role reader",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, wire.CreateUserCall, &wire.CreateUserRequest{UserName: &args[0], Role: role(cmd)},
				func(out *wire.CreateUserResult) table { return userTable(wire.Value(out.User)) })
		},
	}
	modify := &cobra.Command{
		Use:     "modify NAME --role administrator|reader",
		Short:   "Give a user another role",
		Example: "  sallyport users modify ann --role administrator",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return modifyUser(cmd, &wire.ModifyUserRequest{UserName: &args[0], Role: role(cmd)})
		},
	}
	for _, c := range []*cobra.Command{create, modify} {
		c.Flags().String("role", "", "administrator or reader")
		_ = c.MarkFlagRequired("role")
		_ = c.RegisterFlagCompletionFunc("role",
			cobra.FixedCompletions([]string{"administrator", "reader"}, cobra.ShellCompDirectiveNoFileComp))
	}
	disable := &cobra.Command{
		Use:     "disable NAME",
		Short:   "Refuse a user's keys and sessions until the user is enabled",
		Example: "  sallyport users disable ann",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return modifyUser(cmd, &wire.ModifyUserRequest{UserName: &args[0], Disabled: new(true)})
		},
	}
	enable := &cobra.Command{
		Use:     "enable NAME",
		Short:   "Accept a user's keys and sessions again",
		Example: "  sallyport users enable ann",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return modifyUser(cmd, &wire.ModifyUserRequest{UserName: &args[0], Disabled: new(false)})
		},
	}
	remove := &cobra.Command{
		Use:     "delete NAME",
		Short:   "Delete a user with its keys and sessions",
		Example: "  sallyport users delete ann",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, wire.DeleteUserCall, &wire.DeleteUserRequest{UserName: &args[0]},
				func(*wire.DeleteUserResult) table { return table{{"deleted " + args[0]}} })
		},
	}
	return family(list, create, modify, disable, enable, setPasswordCommand(), remove)
}

func role(cmd *cobra.Command) *string {
	r, _ := cmd.Flags().GetString("role")
	return &r
}

func modifyUser(cmd *cobra.Command, in *wire.ModifyUserRequest) error {
	return ask(cmd, wire.ModifyUserCall, in, func(out *wire.ModifyUserResult) table { return userTable(wire.Value(out.User)) })
}

func userTable(users ...wire.User) table {
	t := table{{"USER", "ROLE", "STATE", "KEYS", "PASSWORD", "CREATED"}}
	for _, u := range users {
		t = append(t, []string{
			wire.Value(u.UserName), wire.Value(u.Role), enabled(u.Disabled), fmt.Sprint(wire.Value(u.AccessKeys)),
			hasPassword(u.HasPassword), when(u.Created),
		})
	}
	return t
}

func hasPassword(yes *bool) string {
	if wire.Value(yes) {
		return "yes"
	}
	return "-"
}

func enabled(disabled *bool) string {
	if wire.Value(disabled) {
		return "disabled"
	}
	return "enabled"
}

func when(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
