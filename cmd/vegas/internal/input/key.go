package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
)

// Split finds the partition key of a line and what of the line is the data.
type Split func(line []byte) (key string, data []byte, err error)

// Constant gives all lines one key, and with it one order.
func Constant(key string) Split {
	return func(line []byte) (string, []byte, error) { return key, line, nil }
}

// Hash gives each line a key made of its text: FNV-1a, 64 bits, 16 hexadecimal
// digits. Equal lines have equal keys, and lines spread over all shards.
func Hash(line []byte) (string, []byte, error) {
	h := fnv.New64a()
	_, _ = h.Write(line) // never fails
	const digits = "0123456789abcdef"
	var key [16]byte
	sum := h.Sum64()
	for i := range key {
		key[15-i] = digits[sum>>(4*i)&15]
	}
	return string(key[:]), line, nil
}

// Delimiter takes what is before the first delimiter as the key, and what is
// behind it as the data.
func Delimiter(delimiter string) Split {
	return func(line []byte) (string, []byte, error) {
		key, data, ok := bytes.Cut(line, []byte(delimiter))
		switch {
		case !ok:
			return "", nil, fmt.Errorf("no key: the delimiter %q does not occur", delimiter)
		case len(key) == 0:
			return "", nil, fmt.Errorf("the key before the delimiter %q is empty", delimiter)
		}
		return string(key), data, nil
	}
}

// JSON takes the value of a field as the key; a path such as "customer.id"
// reaches into objects. The data is the whole line.
func JSON(path string) Split {
	fields := strings.Split(path, ".")
	return func(line []byte) (string, []byte, error) {
		key, err := jsonKey(line, fields)
		if err != nil {
			return "", nil, fmt.Errorf("no key: JSON field %q: %w", path, err)
		}
		return key, line, nil
	}
}

func jsonKey(value []byte, fields []string) (string, error) {
	for _, field := range fields {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(value, &object); err != nil {
			if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
				return "", fmt.Errorf("the line is not JSON: %w", err)
			}
			return "", fmt.Errorf("%q is no object's field", field)
		}
		var ok bool
		if value, ok = object[field]; !ok {
			return "", errors.New("the field is missing")
		}
	}
	switch value[0] {
	case '"':
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return "", err
		}
		if s == "" {
			return "", errors.New("the value is empty")
		}
		return s, nil
	case '{', '[', 'n':
		return "", fmt.Errorf("the value is neither text nor a number: %.40s", value)
	}
	return string(value), nil
}
