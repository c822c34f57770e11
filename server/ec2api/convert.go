package ec2api

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/server/ec2api/wire"
	"github.com/sallyport/sallyport/vpc"
)

// What all families of actions translate between wire and vpc.

func filters(in []wire.Filter) []vpc.Filter {
	out := make([]vpc.Filter, len(in))
	for i, f := range in {
		out[i] = vpc.Filter{Name: wire.Value(f.Name), Values: f.Values}
	}
	return out
}

func page(maxResults *int32, token *string) vpc.Page {
	return vpc.Page{Max: maxResults, Token: wire.Value(token)}
}

// token returns the token of the next page, nil after the last one.
func token(next string) *string { return text(next) }

func tagSpecifications(in []wire.TagSpecification) []vpc.TagSpecification {
	out := make([]vpc.TagSpecification, len(in))
	for i, s := range in {
		out[i] = vpc.TagSpecification{ResourceType: wire.Value(s.ResourceType), Tags: tags(s.Tags)}
	}
	return out
}

func tags(in []wire.Tag) []vpc.Tag {
	out := make([]vpc.Tag, len(in))
	for i, t := range in {
		out[i] = vpc.Tag{Key: wire.Value(t.Key), Value: t.Value}
	}
	return out
}

// tagSet returns tags in the order of their keys, nil if there are none.
func tagSet(in vpc.Tags) []wire.Tag {
	var out []wire.Tag
	for k, v := range in {
		out = append(out, wire.Tag{Key: &k, Value: &v})
	}
	slices.SortFunc(out, func(a, b wire.Tag) int { return strings.Compare(*a.Key, *b.Key) })
	return out
}

// ids makes identifiers of texts; whether they are well-formed is for vpc to say.
func ids[ID, S ~string](in []S) []ID {
	out := make([]ID, len(in))
	for i, s := range in {
		out[i] = ID(s)
	}
	return out
}

// text returns what a scalar of an answer points to; nil for "": an absent element.
func text[S ~string](s S) *string {
	if s == "" {
		return nil
	}
	return new(string(s))
}
