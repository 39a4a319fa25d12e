package bridge

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// inGo is how texts of the library name an option, and a word that it is set to.
var inGo = regexp.MustCompile(`\bo\.(?:AWS\.)?([A-Z][A-Za-z]*)(?:( = )(?:vegas\.)?([A-Z][a-z]+)\b)?`)

// known are the names of all options.
var known = func() (names []string) {
	p, c := defaultProducerOptions(), defaultConsumerOptions()
	for _, f := range slices.Concat(p.fields(), c.fields()) {
		names = append(names, f.name)
	}
	return names
}()

// named is a text of the library with options named as hosts name them. Those that they
// do not have stay as they are.
func named(text string) string {
	if !strings.Contains(text, "o.") {
		return text
	}
	return inGo.ReplaceAllStringFunc(text, func(option string) string {
		m := inGo.FindStringSubmatch(option)
		name := snake(m[1])
		if !slices.Contains(known, name) {
			return option
		}
		return name + m[2] + strings.ToLower(m[3])
	})
}

// namedIn is named of an error's text, unless some of that is the host's.
func namedIn(err error) string {
	if _, ok := errors.AsType[hostError](err); ok {
		return err.Error()
	}
	return named(err.Error())
}

// snake is a name as hosts write it: MaxRequests is max_requests.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
