package localkinesis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// violations collects what is wrong with an input. Source of the constraints:
// the "Request Parameters" section of each operation; of the wording: the
// service, as kinesalite's validations record it.
type violations []string

func (v *violations) add(value any, field, constraint string, args ...any) {
	*v = append(*v, fmt.Sprintf("Value %v at '%s' failed to satisfy constraint: Member must %s",
		value, field, fmt.Sprintf(constraint, args...)))
}

func (v violations) failure() *failure {
	s := "s"
	if len(v) == 1 {
		s = ""
	}
	return refuse(codeValidation, "%d validation error%s detected: %s", len(v), s, strings.Join(v, "; "))
}

func (v *violations) required(field string, present bool) {
	if !present {
		v.add("null", field, "not be null")
	}
}

func (v *violations) pattern(field, value string, re *regexp.Regexp, what string) {
	if value != "" && !re.MatchString(value) {
		v.add("'"+value+"'", field, "satisfy regular expression pattern: %s", what)
	}
}

func (v *violations) length(field, value string, least, most int) {
	if value == "" {
		return
	}
	if n := utf8.RuneCountInString(value); n < least || n > most {
		v.add("'"+value+"'", field, "have length between %d and %d", least, most)
	}
}

func (v *violations) between(field string, value *int32, least, most int32) {
	if value != nil && (*value < least || *value > most) {
		v.add(fmt.Sprintf("'%d'", *value), field, "have value between %d and %d", least, most)
	}
}

func (v *violations) oneOf(field, value string, set ...string) {
	if value != "" && !slices.Contains(set, value) {
		v.add("'"+value+"'", field, "satisfy enum value set: [%s]", strings.Join(set, ", "))
	}
}

func (v *violations) shardID(field, value string) {
	v.required(field, value != "")
	v.pattern(field, value, shardIDOK, "[a-zA-Z0-9_.-]+, 1 to 128 characters")
}

var (
	shardIDOK   = streamNameOK
	streamARNOK = regexp.MustCompile(`^arn:aws.*:kinesis:.*:\d{12}:stream/\S+$`)
)

// The pattern of NewStartingHashKey and ExplicitHashKey, and of sequence
// numbers, in the API reference.
var (
	hashKeyOK  = regexp.MustCompile(`^(0|([1-9]\d{0,38}))$`)
	sequenceOK = regexp.MustCompile(`^(0|([1-9]\d{0,128}))$`)
)

func (v *violations) tags(tags map[string]string, most int) {
	if len(tags) > most {
		v.add(len(tags), "tags", "have length less than or equal to %d", most)
	}
	for k, t := range tags {
		if k == "" || utf8.RuneCountInString(k) > 128 {
			v.add("'"+k+"'", "tags", "have keys of length between 1 and 128")
		}
		if utf8.RuneCountInString(t) > 256 {
			v.add("'"+t+"'", "tags", "have values of length at most 256")
		}
	}
}
