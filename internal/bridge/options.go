package bridge

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// readOptions puts what a host gave into the fields of its options, or says what is
// wrong with it.
func readOptions(fields []optionField, v any) error {
	var given map[string]any
	switch v := v.(type) {
	case nil:
	case map[string]any:
		given = v
	default:
		return badOption("options are no map")
	}
	for name, v := range given {
		i := slices.IndexFunc(fields, func(f optionField) bool { return f.name == name })
		if i < 0 {
			return badOption("there is no option %.40q%s", name, nearest(fields, name))
		}
		if v == nil {
			continue // the default
		}
		if want := fields[i].read(v); want != "" {
			if s, ok := v.(string); ok {
				return badOption("the option %s is %.80q: want %s", name, s, want)
			}
			return badOption("the option %s is %s: want %s", name, brief(fmt.Sprint(v), 80), want)
		}
	}
	return nil
}

// read sets the field, or says what it wants.
func (f *optionField) read(v any) (want string) {
	ok := false
	switch into := f.into.(type) {
	case *string:
		if *into, ok = v.(string); f.words != nil && !slices.Contains(f.words, *into) {
			return strings.Join(f.words, ", ")
		}
		want = "a text"
	case *bool:
		*into, ok = v.(bool)
		want = "true or false"
	case *int:
		n, is := v.(int64)
		*into, ok = int(n), is && n >= 0 && n <= math.MaxInt32
		want = "a whole number, 0 or more"
	case *int64:
		n, is := v.(int64)
		*into, ok = n, is && n >= 0
		want = "a number of bytes, 0 or more"
	case *time.Duration:
		n, is := v.(int64)
		*into, ok = time.Duration(n)*time.Microsecond, is && n >= 0 && n <= math.MaxInt64/int64(time.Microsecond)
		want = "a duration, 0 or more"
	case *[]any:
		*into, ok = v.([]any)
		want = "a list"
	case *any: // a start
		switch s := v.(type) {
		case int64:
			ok = true
		case string:
			ok = s == "trim_horizon" || s == "latest"
		}
		*into = v
		want = "trim_horizon, latest or a time"
	}
	if ok {
		return ""
	}
	return want
}

// nearest says which option somebody may have meant.
func nearest(fields []optionField, name string) string {
	best, at := len(name)/2+1, ""
	for _, o := range fields {
		if d := distance(name, o.name); d < best {
			best, at = d, o.name
		}
	}
	if at == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", at)
}

// distance is how many letters have to be changed, added or removed to make b of a;
// of long texts the first 40 bytes count.
func distance(a, b string) int {
	a, b = a[:min(len(a), 40)], b[:min(len(b), 40)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := left
			if a[i] != b[j] {
				d = 1 + min(left, row[j], row[j+1])
			}
			left, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

// text is an argument of a call, "" if it is missing.
func (a arguments) text(name string) (string, error) {
	switch v := a[name].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", badOption("the argument %s is no text", name)
}

// number is an argument of a call that has to be there.
func (a arguments) number(name string) (int64, error) {
	if n, ok := a[name].(int64); ok {
		return n, nil
	}
	return 0, badOption("the argument %s is missing, or no whole number", name)
}

// id is the number of a producer, consumer, shard or local server.
func (a arguments) id(name string) (uint32, error) {
	n, err := a.number(name)
	if err == nil && (n < 0 || n > math.MaxUint32) {
		err = badOption("the argument %s is %d: want 0 to 4294967295", name, n)
	}
	return uint32(n), err
}

// timeout is the argument of that name; without it there is none.
func (a arguments) timeout() (time.Duration, bool, error) {
	v, ok := a["timeout"]
	if !ok || v == nil {
		return 0, false, nil
	}
	n, ok := v.(int64)
	if !ok || n < 0 {
		return 0, false, badOption("the argument timeout is no duration")
	}
	return time.Duration(min(n, math.MaxInt64/1000)) * time.Microsecond, true, nil
}
