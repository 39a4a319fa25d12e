package format

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

var sample = &record.Record{
	Stream: "orders", Shard: "shardId-000000000003", PartitionKey: "k\"1", Data: []byte("a\n\x01<ä>"),
	Position: record.Position{Sequence: "4959", SubSequence: 7}, ArrivalTime: time.UnixMilli(1_700_000_000_123),
	Headers: []record.Header{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}},
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		`%k\t%v\n`:    "k\"1\ta\n\x01<ä>\n",
		`%s %S %n/%u`: "shardId-000000000003 orders 4959/7",
		`%t %T`:       "2023-11-14T22:13:20.123Z 1700000000123",
		`%h %% \\ \0`: "a=1,b=2 % \\ \x00",
		`%b`:          "YQoBPMOkPg==",
		``:            "",
	} {
		f, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(f(nil, sample)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, bad := range []string{`%`, `\`, `%x`, `\x`, `%v\`} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestJSON(t *testing.T) {
	want := `{"stream":"orders","shard":"shardId-000000000003","sequence":"4959","sub_sequence":7,"partition_key":"k\"1",` +
		`"data":"a\n\u0001<ä>","arrival":1700000000123,"headers":[{"key":"a","value":"1"},{"key":"b","value":"2"}]}` + "\n"
	if got := string(JSON(nil, sample)); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	binary := *sample
	binary.Data, binary.Headers = []byte{0xff, 0}, nil
	got := JSON(nil, &binary)
	if !json.Valid(got) || !bytes.Contains(got, []byte(`"data_base64":"/wA="`)) || bytes.Contains(got, []byte("headers")) {
		t.Errorf("%s", got)
	}
}

func TestEvent(t *testing.T) {
	e := observe.Event{Kind: observe.Checkpoint, Time: time.UnixMilli(5), Where: observe.Where{Shard: "s", Worker: "w"}, Sequence: "49", SubSequence: 2}
	if got, want := string(Event(nil, e)), `{"event":"checkpoint","time":5,"shard":"s","worker":"w","sequence":"49","sub_sequence":2}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := string(Event(nil, observe.Event{Kind: observe.Stopped, Time: time.UnixMilli(5)})), `{"event":"stopped","time":5}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzJSON compares with encoding/json, which must read every record as it is.
func FuzzJSON(f *testing.F) {
	f.Add("k", []byte("v"))
	f.Add("\xff\"\\", []byte("\u2028\xed\xa0\x80\x7f"))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		line := JSON(nil, &record.Record{PartitionKey: key, Data: data})
		var got struct {
			Key    string  `json:"partition_key"`
			Data   *string `json:"data"`
			Base64 *string `json:"data_base64"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if want := strings.ToValidUTF8(key, "\ufffd"); len(got.Key) < len(want) {
			t.Errorf("key %q became %q", key, got.Key)
		}
		if bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Errorf("more than a line: %q", line)
		}
		switch {
		case got.Data != nil && got.Base64 == nil:
			if *got.Data != string(data) {
				t.Errorf("data %q became %q", data, *got.Data)
			}
		case got.Base64 != nil:
			if raw, err := base64.StdEncoding.DecodeString(*got.Base64); err != nil || !bytes.Equal(raw, data) {
				t.Errorf("data %q became %q, %v", data, raw, err)
			}
		default:
			t.Errorf("no data: %s", line)
		}
	})
}

func BenchmarkJSON(b *testing.B) {
	r := *sample
	r.Data = bytes.Repeat([]byte("lorem ipsum "), 10)
	var line []byte
	for b.Loop() {
		line = JSON(line[:0], &r)
	}
	b.SetBytes(int64(len(line)))
}
