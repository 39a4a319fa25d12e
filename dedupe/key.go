package dedupe

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/libvegas/vegas/record"
)

// Key is what makes two records the same; made by Header, PartitionKey, Data, JSON, Func
// and ParseKey. No record has the zero Key.
type Key struct {
	kind string // see ParseKey; empty: none
	name string
	path []string
	find func(r *record.Record) string
}

// Kinds of keys, as ParseKey spells them.
const (
	kindHeader       = "header"
	kindPartitionKey = "partition_key"
	kindData         = "data"
	kindJSON         = "json"
	kindFunc         = "func"
)

// Header is the value of the first header with that name.
func Header(name string) Key { return Key{kind: kindHeader, name: name} }

// PartitionKey is the record's partition key.
func PartitionKey() Key { return Key{kind: kindPartitionKey} }

// Data is the whole payload, byte by byte; headers and partition key do not matter.
func Data() Key { return Key{kind: kindData} }

// JSON is a member of a payload that is a JSON object: names from the outside in, with
// dots between, such as "order.id". Texts are compared by their characters, numbers by
// their digits (1 is not 1.0), lists and objects as they are written but for white
// space. A payload that is no such object has no key, nor does null.
func JSON(path string) Key { return Key{kind: kindJSON, name: path, path: strings.Split(path, ".")} }

// Func is what f finds in a record; empty: the record has no key. name tells it from
// other functions: whoever reads a shard on looks for what was remembered under the
// same name. f may be called by many goroutines at once.
func Func(name string, f func(r *record.Record) string) Key {
	return Key{kind: kindFunc, name: name, find: f}
}

// ParseKey reads what String writes: "header:NAME", "partition_key", "data" or
// "json:PATH".
func ParseKey(text string) (Key, error) {
	kind, name, _ := strings.Cut(text, ":")
	switch {
	case kind == kindHeader && name != "":
		return Header(name), nil
	case text == kindPartitionKey:
		return PartitionKey(), nil
	case text == kindData:
		return Data(), nil
	case kind == kindJSON && name != "":
		return JSON(name), nil
	}
	return Key{}, fmt.Errorf("key %.80q: want header:NAME, partition_key, data or json:path.to.field", text)
}

// String is the form for people and settings.
func (k Key) String() string {
	switch k.kind {
	case "", kindPartitionKey, kindData:
		return k.kind
	}
	return k.kind + ":" + k.name
}

// of is the key of a record, if it has one.
func (k *Key) of(r *record.Record) (key hash, ok bool) {
	switch k.kind {
	case kindHeader:
		return sum(r.Header(k.name))
	case kindPartitionKey:
		return sum(r.PartitionKey)
	case kindData:
		full := sha256.Sum256(r.Data)
		return hash(full[:]), len(r.Data) > 0
	case kindJSON:
		return sum(member(r.Data, k.path))
	case kindFunc:
		if k.find != nil {
			return sum(k.find(r))
		}
	}
	return key, false
}

// sum hashes a text without an allocation for it, unless it is long.
func sum(text string) (key hash, ok bool) {
	if text == "" {
		return key, false
	}
	var room [256]byte
	full := sha256.Sum256(append(room[:0], text...))
	return hash(full[:]), true
}

// member is the value of a member of a JSON object, with a letter before it for its
// type; empty: there is none.
func member(data []byte, path []string) string {
	value := json.RawMessage(data)
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return ""
		}
		value = object[name]
	}
	if len(value) == 0 || string(value) == "null" {
		return ""
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		if text == "" {
			return ""
		}
		return "s" + text
	}
	var plain bytes.Buffer
	if json.Compact(&plain, value) != nil {
		return ""
	}
	return "j" + plain.String()
}
