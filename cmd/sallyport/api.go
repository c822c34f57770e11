package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/server/ec2api/wire"
)

// apiClient calls the further actions of the endpoint: those for which AWS clients have no call.
type apiClient struct {
	endpoint endpoint
	creds    aws.Credentials
	http     http.Client
}

func apiFlags(cmd *cobra.Command) {
	cmd.Flags().String("data-dir", "/var/lib/sallyport", "`directory` of the server's state, which says where and as whom to ask")
}

// newAPIClient reads where to ask, and as whom, from what the server left in its data directory.
func newAPIClient(cmd *cobra.Command) (*apiClient, error) {
	dir, _ := cmd.Flags().GetString("data-dir")
	return apiClientOf(cmd.Context(), dir)
}

func apiClientOf(ctx context.Context, dir string) (*apiClient, error) {
	e, err := readEndpoint(dir)
	if err != nil {
		return nil, err
	}
	// The file that the server wrote, and nothing of what the caller's environment says of another cloud.
	profile, err := config.LoadSharedConfigProfile(ctx, "default", func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles, o.ConfigFiles = []string{e.Credentials}, []string{}
	})
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%s may not be read: run this as the user that runs dev or the server (sudo)", e.Credentials)
	}
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	return &apiClient{endpoint: e, creds: profile.Credentials, http: http.Client{Timeout: time.Minute}}, nil
}

// do signs and sends a call, and reads its answer. A refusal is a *wire.Error.
func do[In, Out any](ctx context.Context, c *apiClient, call wire.Call[In, Out], in *In) (*Out, error) {
	body := []byte(call.Form(in).Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint.URL+"/", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("User-Agent", "sallyport/"+version()) // the audit log names it
	hash := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, c.creds, req, hex.EncodeToString(hash[:]), "ec2", c.endpoint.Region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	res, err := c.http.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("nothing answers on %s: is it running? Start it with sallyport dev or sallyport server, "+
			"on the data directory %s", c.endpoint.URL, filepath.Dir(c.endpoint.Credentials))
	}
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return call.Parse(answer)
	}
	refusal, _, err := wire.ParseError(answer)
	if err != nil {
		return nil, fmt.Errorf("ask the server: it answered %s", res.Status)
	}
	return nil, refusal
}

// table is what people read: a head line, then one line per thing.
type table [][]string

// ask calls an action as the command's flags say and prints the answer: as JSON, or as the table
// that show makes of it.
func ask[In, Out any](cmd *cobra.Command, call wire.Call[In, Out], in *In, show func(*Out) table) error {
	c, err := newAPIClient(cmd)
	if err != nil {
		return err
	}
	out, err := do(cmd.Context(), c, call, in)
	if err != nil {
		return err
	}
	return show(out).print(cmd, out)
}

// all is ask for every page of the answer: add puts what out holds into sum, and the token of the next page
// into in, and says whether there is one.
func all[In, Out any](
	cmd *cobra.Command, call wire.Call[In, Out], in *In, add func(in *In, out, sum *Out) bool, show func(*Out) table,
) error {
	c, err := newAPIClient(cmd)
	if err != nil {
		return err
	}
	sum := new(Out)
	for more := true; more; {
		out, err := do(cmd.Context(), c, call, in)
		if err != nil {
			return err
		}
		more = add(in, out, sum)
	}
	return show(sum).print(cmd, sum)
}

// print prints the table, or with --output json the answer that it was made of.
func (t table) print(cmd *cobra.Command, answer any) error {
	if asJSON(cmd) {
		return printJSON(cmd, answer)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, line := range t {
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	return w.Flush()
}

func asJSON(cmd *cobra.Command) bool {
	o, _ := cmd.Flags().GetString("output")
	return o == "json"
}

// printJSON prints the answer that this points to. A list without members is [], so that scripts can go over it.
func printJSON(cmd *cobra.Command, answer any) error {
	fillLists(reflect.ValueOf(answer))
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(answer)
}

func fillLists(v reflect.Value) {
	if kind := v.Kind(); kind == reflect.Pointer && !v.IsNil() {
		fillLists(v.Elem())
	} else if kind == reflect.Struct {
		for _, f := range v.Fields() {
			if f.CanSet() {
				fillLists(f)
			}
		}
	} else if kind == reflect.Slice {
		if v.IsNil() && v.CanSet() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fillLists(v.Index(i))
		}
	}
}

// family adds commands below one that lists, all of them with the flags that say whom to ask.
func family(list *cobra.Command, below ...*cobra.Command) *cobra.Command {
	apiFlags(list)
	for _, c := range below {
		apiFlags(c)
		settleArgs(c)
		list.AddCommand(c)
	}
	return list
}
