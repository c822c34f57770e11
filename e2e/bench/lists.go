package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/server/ec2api/ec2apitest"
	"github.com/sallyport/sallyport/server/ec2api/wire"
)

// listFigures is what the console part measured: how long a person waits for a page of a list.
type listFigures struct {
	Sizes apiSizes
	Rows  []listRow
}

// listRow is one question, asked again and again by one caller; the times are until the whole answer is
// there.
type listRow struct {
	Name     string
	Matched  int
	P50, Max float64 // ms
}

// listQuestion is a page of interfaces, or a search if it has a query.
type listQuestion struct {
	name  string
	form  []string // of SelectResources
	page  int      // interfaces that are described
	query string   // of SearchResources
	least int      // objects that must match
}

func measureLists(ctx context.Context, quickly bool, stderr io.Writer) (_ *listFigures, err error) {
	size, repetitions := fullAPI, 30
	if quickly {
		size, repetitions = quickAPI, 5
	}
	s, _, _, err := newAPIServer(ctx, size, stderr)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	if _, err := s.start(ctx); err != nil {
		return nil, err
	}
	client := ec2apitest.New(s.addr, region, s.creds)
	defer client.Close()
	filter := func(n int, property, operator, value string) []string {
		p := fmt.Sprintf("Filter.%d.", n)
		return []string{p + "PropertyKey", property, p + "Operator", operator, p + "Value", value}
	}
	with := func(form []string, more ...string) []string { return append(slices.Clip(form), more...) }
	f := &listFigures{Sizes: size}
	for _, q := range []listQuestion{
		{name: "as they were made, a page of 50", page: 50, least: size.ENIs},
		{name: "by their address, a page of 50", form: []string{"SortBy", "private-ip-address"}, page: 50, least: size.ENIs},
		{name: "the last page of 50", form: []string{"SortBy", "tag:Name", "Offset", strconv.Itoa(size.ENIs - 50)}, page: 50, least: size.ENIs},
		{name: "by their first group's name, downwards, a page of 500", form: []string{"SortBy", "group-name", "Descending", "true"}, page: 500, least: size.ENIs},
		{
			name: "whose address lies in a block, by name, a page of 500",
			form: with(filter(1, "private-ip-address", ":", "10.16.0.0/16"), "SortBy", "tag:Name"), page: 500, least: size.ENIs/2 - 1,
		},
		{
			name: "whose name starts with eni-00 and whose group's contains 12, a page of 50",
			form: with(append(filter(1, "tag:Name", "^", "eni-00"), filter(2, "group-name", ":", "12")...), "SortBy", "private-ip-address"), page: 50, least: 1,
		},
		{name: "with a text anywhere, a page of 50", form: []string{"Filter.1.Value", "group-00012", "SortBy", "private-ip-address"}, page: 50, least: 1},
		{name: "search: a name", query: "eni-000123", least: 1},
		{name: "search: an address", query: "10.16.0.77", least: 1},
		{name: "search: port:1005 from:10.3.1.7", query: "port:1005 from:10.3.1.7"},
	} {
		fmt.Fprintf(stderr, "lists: %s\n", q.name)
		row := listRow{Name: q.name}
		var took []float64
		for range repetitions {
			start := time.Now()
			matched, err := q.ask(ctx, client)
			took = append(took, float64(time.Since(start).Microseconds())/1000)
			if err == nil && matched < q.least {
				err = fmt.Errorf("%d match, want %d", matched, q.least)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", q.name, err)
			}
			row.Matched = matched
		}
		row.P50, row.Max = median(took), quantile(took, 1)
		f.Rows = append(f.Rows, row)
	}
	return f, nil
}

// ask does what the console does for a page: SelectResources, then Describe by the ids.
func (q listQuestion) ask(ctx context.Context, c *ec2apitest.Client) (matched int, err error) {
	if q.query != "" {
		a, err := further(ctx, c, "SearchResources", "Query", q.query)
		if err != nil {
			return 0, err
		}
		out, err := wire.SearchResourcesCall.Parse(a)
		if err != nil {
			return 0, err
		}
		return int(wire.Value(out.MatchedCount)), nil
	}
	a, err := further(ctx, c, "SelectResources",
		append([]string{"ResourceType", "network-interface", "MaxResults", strconv.Itoa(q.page)}, q.form...)...)
	if err != nil {
		return 0, err
	}
	out, err := wire.SelectResourcesCall.Parse(a)
	if err != nil {
		return 0, err
	}
	matched = int(wire.Value(out.MatchedCount))
	if want := min(q.page, matched); len(out.ResourceIds) != want {
		return 0, fmt.Errorf("a page of %d, want %d", len(out.ResourceIds), want)
	}
	form := ec2apitest.Form("DescribeNetworkInterfaces")
	for i, id := range out.ResourceIds {
		form.Set(fmt.Sprintf("NetworkInterfaceId.%d", i+1), id)
	}
	described, err := c.Do(ctx, form)
	if err != nil {
		return 0, err
	}
	var got struct {
		IDs []string `xml:"networkInterfaceSet>item>networkInterfaceId"`
	}
	if err := xml.Unmarshal(described.Body, &got); err != nil || len(got.IDs) != len(out.ResourceIds) {
		return 0, fmt.Errorf("%d: %d described, want %d: %w: %.300s", described.Status, len(got.IDs), len(out.ResourceIds), err, described.Body)
	}
	return matched, nil
}

func further(ctx context.Context, c *ec2apitest.Client, action string, parameters ...string) ([]byte, error) {
	form := url.Values{"Action": {action}, "Version": {wire.Sallyport.Version}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	a, err := c.Do(ctx, form)
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("%s: %d: %.300s", action, a.Status, a.Body)
	}
	return a.Body, err
}

// print says what was measured, and what there must be.
func (f *listFigures) print(w io.Writer) {
	fmt.Fprintf(w, "Lists, one caller, of %d interfaces: ms for the page with Describe\tmatched\tp50\tat most\twanted\t\n", f.Sizes.ENIs)
	for _, r := range f.Rows {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t< 300\t\n", r.Name, r.Matched, r.P50, r.Max)
	}
}
