// Package format writes received records, and the life of their shards, as
// lines: in a form of the user's own, or as JSON.
package format

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Line appends a record.
type Line func(b []byte, r *record.Record) []byte

// Value is the payload and a newline.
func Value(b []byte, r *record.Record) []byte { return append(append(b, r.Data...), '\n') }

// verbs are what a format can name.
var verbs = map[byte]Line{
	'v': func(b []byte, r *record.Record) []byte { return append(b, r.Data...) },
	'k': func(b []byte, r *record.Record) []byte { return append(b, r.PartitionKey...) },
	's': func(b []byte, r *record.Record) []byte { return append(b, r.Shard...) },
	'S': func(b []byte, r *record.Record) []byte { return append(b, r.Stream...) },
	'n': func(b []byte, r *record.Record) []byte { return append(b, r.Position.Sequence...) },
	'u': func(b []byte, r *record.Record) []byte { return strconv.AppendInt(b, r.Position.SubSequence, 10) },
	't': func(b []byte, r *record.Record) []byte {
		return r.ArrivalTime.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	},
	'T': func(b []byte, r *record.Record) []byte { return strconv.AppendInt(b, r.ArrivalTime.UnixMilli(), 10) },
	'h': func(b []byte, r *record.Record) []byte {
		for i, h := range r.Headers {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, h.Key...), '='), h.Value...)
		}
		return b
	},
	'b': func(b []byte, r *record.Record) []byte { return base64.StdEncoding.AppendEncode(b, r.Data) },
}

// Help describes formats.
const Help = `  %v  value, the payload            %s  shard
  %b  value in base64               %n  sequence number
  %k  partition key                 %u  index within an aggregate
  %t  arrival time, RFC 3339        %S  stream
  %T  arrival time, milliseconds    %h  headers, name=value,...
  %%  a percent sign                \n \t \r \0 \\  as usual`

// Parse reads a format such as "%k\t%v\n".
func Parse(text string) (Line, error) {
	var parts []Line
	var literal []byte
	flush := func() {
		if len(literal) > 0 {
			s := string(literal)
			parts = append(parts, func(b []byte, _ *record.Record) []byte { return append(b, s...) })
			literal = nil
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '%' && c != '\\' {
			literal = append(literal, c)
			continue
		}
		if i++; i == len(text) {
			return nil, fmt.Errorf("format %q: nothing follows the last %q", text, c)
		}
		if c == '\\' {
			at := strings.IndexByte(`ntr0\`, text[i])
			if at < 0 {
				return nil, fmt.Errorf(`format %q: \%c is none of \n \t \r \0 \\`, text, text[i])
			}
			literal = append(literal, "\n\t\r\x00\\"[at])
			continue
		}
		if text[i] == '%' {
			literal = append(literal, '%')
			continue
		}
		verb, ok := verbs[text[i]]
		if !ok {
			return nil, fmt.Errorf("format %q: no %%%c: want %%v, %%b, %%k, %%s, %%S, %%n, %%u, %%t, %%T, %%h or %%%%", text, text[i])
		}
		flush()
		parts = append(parts, verb)
	}
	flush()
	return func(b []byte, r *record.Record) []byte {
		for _, p := range parts {
			b = p(b, r)
		}
		return b
	}, nil
}

// JSON is one line with the fields stream, shard, sequence, sub_sequence,
// partition_key, data (or data_base64 if it is not UTF-8), arrival in
// milliseconds, and headers if there are any.
func JSON(b []byte, r *record.Record) []byte {
	b = Quote(append(b, `{"stream":`...), r.Stream)
	b = Quote(append(b, `,"shard":`...), r.Shard)
	b = Quote(append(b, `,"sequence":`...), r.Position.Sequence)
	b = strconv.AppendInt(append(b, `,"sub_sequence":`...), r.Position.SubSequence, 10)
	b = Quote(append(b, `,"partition_key":`...), r.PartitionKey)
	if utf8.Valid(r.Data) {
		b = quote(append(b, `,"data":`...), r.Data)
	} else {
		b = append(b, `,"data_base64":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, r.Data), '"')
	}
	b = strconv.AppendInt(append(b, `,"arrival":`...), r.ArrivalTime.UnixMilli(), 10)
	for i, h := range r.Headers {
		sep := `,{"key":`
		if i == 0 {
			sep = `,"headers":[{"key":`
		}
		b = Quote(append(b, sep...), h.Key)
		b = append(Quote(append(b, `,"value":`...), h.Value), '}')
	}
	if len(r.Headers) > 0 {
		b = append(b, ']')
	}
	return append(b, "}\n"...)
}

// Event is one line for a step in the life of a shard: event, time in
// milliseconds, and where they apply shard, worker, sequence and sub_sequence,
// how, former_owner and new_owner. worker is the one that reports.
func Event(b []byte, e observe.Event) []byte {
	b = Quote(append(b, `{"event":`...), string(e.Kind))
	at := e.Time
	if at.IsZero() {
		at = time.Now()
	}
	b = strconv.AppendInt(append(b, `,"time":`...), at.UnixMilli(), 10)
	if e.Where.Shard != "" {
		b = Quote(append(b, `,"shard":`...), e.Where.Shard)
	}
	if e.Where.Worker != "" {
		b = Quote(append(b, `,"worker":`...), e.Where.Worker)
	}
	if e.Sequence != "" {
		b = Quote(append(b, `,"sequence":`...), e.Sequence)
		b = strconv.AppendInt(append(b, `,"sub_sequence":`...), e.SubSequence, 10)
	}
	if !e.Start.IsZero() {
		b = strconv.AppendInt(append(b, `,"start":`...), e.Start.UnixMilli(), 10)
	}
	if e.How != "" {
		b = Quote(append(b, `,"how":`...), e.How)
	}
	if e.Worker != "" {
		name := `,"former_owner":`
		if e.Kind == observe.HandedOver {
			name = `,"new_owner":`
		}
		b = Quote(append(b, name...), e.Worker)
	}
	return append(b, "}\n"...)
}

// Quote appends a string as JSON.
func Quote(b []byte, s string) []byte { return quote(b, s) }

// quote escapes what JSON wants escaped and nothing else; the text is UTF-8,
// bytes that are not become the replacement character.
func quote[T string | []byte](b []byte, s T) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
