package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// configFlags gives a command --config, --check-config and --print-config. A configuration file is
// YAML whose keys are the names of the command's flags: one spelling in file, flag and documents.
// A flag given on the command line wins over the file.
func configFlags(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "`file` (YAML) with these flags' names as keys")
	cmd.Flags().Bool("check-config", false, "check flags and file, then exit")
	cmd.Flags().Bool("print-config", false, "print the configuration in force (YAML, or --output json), then exit")
	cmd.Flags().String("log-level", "info", "debug, info, warn or error")
	cmd.Flags().String("log-format", "json", "json or text, one line per event")
	_ = cmd.RegisterFlagCompletionFunc("log-format",
		cobra.FixedCompletions([]string{"json", "text"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("log-level",
		cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
}

// notConfig are the flags that a configuration file cannot set.
var notConfig = []string{"config", "check-config", "print-config", "help", "output", "purge", "version"}

// loadConfig sets the flags that the file names, and handles --print-config and --check-config once
// check agrees: then done is true and the command is over.
func loadConfig(cmd *cobra.Command, check func() error) (done bool, err error) {
	if path, _ := cmd.Flags().GetString("config"); path != "" {
		if err := readConfig(cmd.Flags(), path); err != nil {
			return false, &usageError{err}
		}
	}
	if err := check(); err != nil {
		return false, &usageError{err}
	}
	if _, err := logger(cmd); err != nil {
		return false, err
	}
	if on, _ := cmd.Flags().GetBool("print-config"); on {
		return true, printConfig(cmd)
	}
	on, _ := cmd.Flags().GetBool("check-config")
	return on, nil
}

func readConfig(flags *pflag.FlagSet, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil // empty
	} else if err != nil {
		return fmt.Errorf("read the configuration: %s: %w", path, err)
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the configuration: %s: it goes on after the first document", path)
	}
	m := doc.Content[0]
	if m.Kind != yaml.MappingNode {
		return fmt.Errorf("read the configuration: %s: line %d: want key: value", path, m.Line)
	}
	seen := map[string]bool{}
	for i := 0; i < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		f := flags.Lookup(k.Value)
		switch {
		case f == nil || slices.Contains(notConfig, k.Value):
			return fmt.Errorf("read the configuration: %s: line %d: unknown key %q", path, k.Line, k.Value)
		case seen[f.Name]:
			return fmt.Errorf("read the configuration: %s: line %d: %q is there twice", path, k.Line, k.Value)
		case f.Changed:
			continue
		}
		seen[f.Name] = true
		var err error
		switch v.Kind {
		case yaml.ScalarNode:
			err = flags.Set(k.Value, v.Value)
		case yaml.SequenceNode:
			if _, many := f.Value.(pflag.SliceValue); !many {
				err = errors.New("want one value, not a list")
				break
			}
			for _, e := range v.Content {
				err = errors.Join(err, flags.Set(k.Value, e.Value))
			}
		default:
			err = errors.New("want a value or a list")
		}
		if err != nil {
			return fmt.Errorf("read the configuration: %s: line %d: %s: %w", path, v.Line, k.Value, err)
		}
	}
	return nil
}

func printConfig(cmd *cobra.Command) error {
	values := map[string]any{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if slices.Contains(notConfig, f.Name) || f.Hidden {
			return
		}
		switch s, ok := f.Value.(pflag.SliceValue); {
		case ok:
			values[f.Name] = s.GetSlice()
		case f.Value.Type() == "bool":
			values[f.Name] = f.Value.String() == "true"
		case f.Value.Type() == "uint32":
			values[f.Name], _ = strconv.Atoi(f.Value.String())
		default:
			values[f.Name] = f.Value.String()
		}
	})
	if o, _ := cmd.Flags().GetString("output"); o == "json" {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(values)
	}
	return yaml.NewEncoder(cmd.OutOrStdout()).Encode(values)
}

// logger returns the log that --log-level and --log-format ask for.
func logger(cmd *cobra.Command) (*slog.Logger, error) {
	name, _ := cmd.Flags().GetString("log-level")
	level, ok := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}[name]
	if !ok {
		return nil, usagef("--log-level is debug, info, warn or error, not %q", name)
	}
	o := &slog.HandlerOptions{Level: level}
	switch format, _ := cmd.Flags().GetString("log-format"); format {
	case "json":
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), o)), nil
	case "text":
		return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), o)), nil
	default:
		return nil, usagef("--log-format is json or text, not %q", format)
	}
}
