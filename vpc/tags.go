package vpc

import (
	"strings"
	"unicode/utf8"
)

// Tag is a tag of a request.
type Tag struct {
	Key   string
	Value *string // nil: none was given
}

// TagSpecification asks for tags on what an action makes.
type TagSpecification struct {
	ResourceType string // security-group, security-group-rule, …
	Tags         []Tag
}

// What a tag may look like, in characters. Source: EC2 user guide, "Tag restrictions".
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

// specifiedTags returns the tags that the specifications ask for, by resource type. Types that the
// action does not make are refused.
func specifiedTags(specs []TagSpecification, makes ...string) (map[string]Tags, error) {
	out := map[string]Tags{}
	for _, spec := range specs {
		if spec.ResourceType == "" {
			return nil, Errorf(CodeInvalidParameter, "Tag specification resource type must have a value")
		}
		known := false
		for _, t := range makes {
			known = known || t == spec.ResourceType
		}
		if !known {
			return nil, Errorf(CodeInvalidParameterValue,
				"'%s' is not a valid taggable resource type for this operation.", spec.ResourceType)
		}
		if out[spec.ResourceType] != nil {
			return nil, Errorf(CodeInvalidParameterValue,
				"The same resource type may not be specified more than once in tag specifications")
		}
		if len(spec.Tags) == 0 {
			return nil, Errorf(CodeInvalidParameterValue, "Tag specification must have at least one tag")
		}
		tags, err := newTags(spec.Tags)
		if err != nil {
			return nil, err
		}
		out[spec.ResourceType] = tags
	}
	return out, nil
}

// newTags checks the tags of one request and makes them a map.
func newTags(list []Tag) (Tags, error) {
	tags := make(Tags, len(list))
	for _, t := range list {
		if err := validTagKey(t.Key); err != nil {
			return nil, err
		}
		if t.Value == nil {
			return nil, Errorf(CodeInvalidParameterValue, "Tag value cannot be null. Use empty string instead.")
		}
		if utf8.RuneCountInString(*t.Value) > maxTagValue {
			return nil, Errorf(CodeInvalidParameterValue,
				"Tag value exceeds the maximum length of %d characters", maxTagValue)
		}
		if _, ok := tags[t.Key]; ok {
			return nil, Errorf(CodeInvalidParameterValue, "Duplicate tag key '%s' specified.", t.Key)
		}
		tags[t.Key] = *t.Value
	}
	if len(tags) > maxTags {
		return nil, errTooManyTags()
	}
	return tags, nil
}

func validTagKey(key string) error {
	switch {
	case key == "":
		return Errorf(CodeInvalidTagKeyMalformed,
			"The specified tag key is not valid. Tag keys cannot be empty or null, and cannot start with aws:.")
	case utf8.RuneCountInString(key) > maxTagKey:
		return Errorf(CodeInvalidParameterValue, "Tag key exceeds the maximum length of %d characters", maxTagKey)
	case strings.HasPrefix(strings.ToLower(key), "aws:"):
		return Errorf(CodeInvalidParameterValue, "Tag keys starting with 'aws:' are reserved for internal use")
	}
	return nil
}

func errTooManyTags() *Error {
	return Errorf(CodeTagLimitExceeded, "The maximum number of Tags for a resource has been reached.")
}
