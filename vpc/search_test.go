package vpc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/vpc"
)

func TestSearch(t *testing.T) {
	s := listWorld()
	for query, want := range map[string]string{
		"":                           "",
		"web":                        "sg-web",
		"WEB":                        "sg-web",
		"data":                       "eni-1", // Main database
		"postgres":                   "sg-db",
		"\"main data\"":              "eni-1",
		"main":                       "vpc-1 eni-1", // the whole name first
		"environment=prod":           "sg-db",
		"Environment=p*":             "sg-db",
		"tag:Environment":            "sg-db",
		"Environment=test":           "",
		"sg-db":                      "sg-db eni-1",
		"i-1":                        "i-1 eni-2",
		"sg-":                        "sg-db sg-idle sg-web",
		"02:00:00:00:00:03":          "eni-3",
		"port:5432":                  "sgr-3 sgr-4",
		"port:5433":                  "sgr-4",
		"port:5432-5433":             "sgr-4",
		"port:5432 from:world":       "",
		"port:443 from:world":        "sgr-1",
		"from:world":                 "sgr-1",
		"to:world":                   "sgr-2",
		"port:443 to:world":          "sgr-2",
		"from:web":                   "sgr-3 sgr-2", // what names it, then what it may send
		"from:sg-web port:5432":      "sgr-3 sgr-2",
		"from:web to:db":             "sgr-3",
		"from:office":                "sgr-4",
		"from:192.0.2.7":             "sgr-4 sgr-1",
		"from:10.0.0.10":             "sgr-3 sgr-5 sgr-1 sgr-2", // a member, its block, the world, what it may send
		"from:10.0.0.0/16":           "sgr-1 sgr-5",
		"proto:tcp port:22":          "sgr-5",
		"protocol:icmp to:10.0.0.10": "sgr-2",
		"port:5432 db":               "sgr-3 sgr-4",
		"port:5432 web":              "",
		"group:db 10.0.0.10":         "eni-1 sgr-3 sgr-5",
		"vpc:main web":               "sg-web",
		"vpc:other web":              "",
		"fd00::1":                    "eni-3 sgr-3",
		"192.0.2.7":                  "pl-1 sgr-4 sgr-1 sgr-2",
		"10.0.15.3":                  "eni-5 subnet-1 vpc-1 sgr-3 sgr-1 sgr-2",
		"10.0.1.0/24":                "subnet-1 vpc-1 eni-4 eni-3 sgr-1 sgr-2",
		"10.0.1.":                    "eni-4 eni-3",
	} {
		t.Run(query, func(t *testing.T) {
			got, err := s.Search(vpc.SearchQuery{Text: query, Max: 20})
			var ids []string
			for _, h := range got.Hits {
				ids = append(ids, h.ID)
				t.Logf("%s %s %q: %s", h.Type, h.ID, h.Name, h.Reason)
			}
			if s := strings.Join(ids, " "); err != nil || s != want {
				t.Errorf("got %q, %v\nwant %q", s, err, want)
			}
		})
	}
}

// Hits say what matched and why.
func TestSearchReasons(t *testing.T) {
	s := listWorld()
	for query, want := range map[string]string{
		"port:443 from:world": "security-group-rule sgr-1: lets tcp 443 in from 0.0.0.0/0",
		"from:192.0.2.7":      "security-group-rule sgr-4: lets tcp 5432-5433 in from pl-1, which holds 192.0.2.0/24",
		"from:10.0.0.10":      "security-group-rule sgr-3: lets tcp 5432 in from sg-web, of which eni-1 is a member",
		"fd00::1":             "network-interface eni-3: it has fd00::1",
		"192.0.2.0/25":        "prefix-list pl-1: its entry 192.0.2.0/24 covers 192.0.2.0/25",
		"arch":                `network-interface eni-3: its name begins with "arch"`,
	} {
		got, err := s.Search(vpc.SearchQuery{Text: query, Max: 1})
		if err != nil || len(got.Hits) == 0 {
			t.Errorf("%s: got %v, %v", query, got, err)
			continue
		}
		if h := got.Hits[0]; fmt.Sprintf("%s %s: %s", h.Type, h.ID, h.Reason) != want {
			t.Errorf("%s:\n got %s %s: %s\nwant %s", query, h.Type, h.ID, h.Reason, want)
		}
	}
}

func TestSearchCounts(t *testing.T) {
	got, err := listWorld().Search(vpc.SearchQuery{Text: "web", Max: 1, Types: []string{"security-group", "vpc"}})
	if err != nil || got.Matched != 1 || fmt.Sprint(got.Counts) != "map[security-group:1]" {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = listWorld().Search(vpc.SearchQuery{Text: "10.0.1.0/24", Max: 1})
	if err != nil || got.Matched != 6 || len(got.Hits) != 1 || fmt.Sprint(got.Counts) != "map[network-interface:2 security-group-rule:2 subnet:1 vpc:1]" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSearchRefuses(t *testing.T) {
	for name, query := range map[string]vpc.SearchQuery{
		"no port":         {Text: "port:https", Max: 1},
		"a turned range":  {Text: "port:90-80", Max: 1},
		"no protocol":     {Text: "proto:xyz", Max: 1},
		"an unknown type": {Text: "x", Max: 1, Types: []string{"volume"}},
		"too many words":  {Text: strings.Repeat("x ", 11), Max: 1},
		"too much text":   {Text: strings.Repeat("x", 1001), Max: 1},
		"no result":       {Text: "x"},
	} {
		if got, err := listWorld().Search(query); vpc.CodeOf(err) != vpc.CodeInvalidParameterValue {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}
