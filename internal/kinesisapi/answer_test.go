package kinesisapi

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/wire"
	"github.com/libvegas/vegas/localkinesis"
)

const oneRecord = `{"Records":[{"SequenceNumber":"100","PartitionKey":"k","Data":"MQ==","ApproximateArrivalTimestamp":1.5}],"MillisBehindLatest":7,"NextShardIterator":"next"}`

// Whatever an answer looks like, it says the same; what is unusual in it costs a
// detour by the SDK's decoder.
func TestAnUnusualAnswerIsDecodedByTheSDK(t *testing.T) {
	for name, c := range map[string]struct {
		content, body string
		fallback      bool
	}{
		"usual":                {contentType, oneRecord, false},
		"with a parameter":     {contentType + "; charset=utf-8", oneRecord, false},
		"other content":        {"application/json", oneRecord, true},
		"no content type":      {"", oneRecord, true},
		"a member twice":       {contentType, strings.Replace(oneRecord, "{", `{"Records":[],`, 1), true},
		"bytes behind it":      {contentType, oneRecord + "\x00", true},
		"with escapes in data": {contentType, strings.Replace(oneRecord, "MQ==", `\u004dQ==`, 1), true},
	} {
		c1 := client(t, server(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = []string{c.content}
			io.WriteString(w, c.body)
		}))
		a, err := c1.GetRecords(t.Context(), "shardId-000000000000", "it", 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.Fallback != c.fallback {
			t.Errorf("%s: fallback %v", name, a.Fallback)
		}
		if len(a.Records) != 1 || a.Behind != 7*time.Millisecond || a.Next != "next" {
			t.Errorf("%s: %+v", name, a)
			continue
		}
		r := a.Records[0]
		if r.Sequence != "100" || r.Key != "k" || string(r.Data) != "1" || r.Arrival != time.UnixMilli(1500).UTC() {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestAnUnusualPutAnswerIsDecodedByTheSDK(t *testing.T) {
	const stored = `{"Records":[{"ShardId":"shardId-000000000000","SequenceNumber":"49"}],"FailedRecordCount":0,"EncryptionType":"NONE"}`
	for name, c := range map[string]struct {
		content, body string
		fallback      bool
	}{
		"usual":                   {contentType, stored, false},
		"other content":           {"application/json", stored, true},
		"a member twice":          {contentType, strings.Replace(stored, "{", `{"Records":[],`, 1), true},
		"with escapes in a name":  {contentType, strings.Replace(stored, "ShardId", `\u0053hardId`, 1), true},
		"with escapes in a value": {contentType, strings.Replace(stored, "shardId", `\u0073hardId`, 1), false},
	} {
		a, err := put(t.Context(), client(t, server(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", c.content)
			io.WriteString(w, c.body)
		})))
		if err != nil || len(a.Results) != 1 || a.Results[0] != (wire.PutResult{Shard: "shardId-000000000000", Sequence: "49"}) || a.Fallback != c.fallback {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}

	// The embedded server answers in the usual form.
	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams, o.StateDelay = map[string]int{"orders": 2}, 0 })
	srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle, EntryRate: 0.5, Count: 1})
	e := types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: []byte("d")}
	a, err := client(t, srv.AWS()).PutRecords(t.Context(), slices.Repeat([]types.PutRecordsRequestEntry{e}, 50))
	if err != nil || a.Fallback {
		t.Fatalf("%+v, %v", a, err)
	}
	n := 0
	for i := range a.Results {
		r := &a.Results[i]
		if r.Stored() {
			n++
		} else if EntryClass(r) != Throttled || r.Message == "" {
			t.Errorf("entry %d: %+v", i, r)
		}
	}
	if n == 0 || n == len(a.Results) {
		t.Errorf("%d of %d entries are stored", n, len(a.Results))
	}
}

// What is no answer at all fails as it does with the SDK alone.
func TestATornAnswerFails(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"cut by the server": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			io.WriteString(w, oneRecord[:40])
		},
		"cut by the network": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Content-Length", strconv.Itoa(len(oneRecord)))
			io.WriteString(w, oneRecord[:40])
		},
		"no base64": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			io.WriteString(w, strings.Replace(oneRecord, "MQ==", "M", 1))
		},
	} {
		a, err := client(t, server(t, serve)).GetRecords(t.Context(), "shardId-000000000000", "it", 0)
		if err == nil || Classify(err) != Unknown {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// A subscription goes on past what only the SDK understands, and past what nobody
// asked for.
func TestAnUnusualEventIsDecodedByTheSDK(t *testing.T) {
	event := strings.Replace(oneRecord, "NextShardIterator", "ContinuationSequenceNumber", 1)
	stream := slices.Concat(
		eventFrame(t, "event", "initial-response", "{}"),
		eventFrame(t, "event", "SubscribeToShardEvent", event),
		eventFrame(t, "event", "SomethingNew", "[]"),
		eventFrame(t, "event", "SubscribeToShardEvent", event+" x"),
		eventFrame(t, "event", "SubscribeToShardEvent", event),
		eventFrame(t, "exception", "ResourceInUseException", `{"message":"taken"}`),
		eventFrame(t, "event", "SubscribeToShardEvent", event),
	)
	sub := subscribed(t, stream)
	var fallbacks []bool
	for a := range sub.Events() {
		fallbacks = append(fallbacks, a.Fallback)
		if len(a.Records) != 1 || string(a.Records[0].Data) != "1" || a.Next != "next" || a.Behind != 7*time.Millisecond {
			t.Errorf("%+v", a)
		}
	}
	if !slices.Equal(fallbacks, []bool{false, true, false}) {
		t.Errorf("events, by whether the SDK decoded them: %v", fallbacks)
	}
	if !InUse(sub.Err()) {
		t.Errorf("ended by %v", sub.Err())
	}
}

// subscribed is a subscription that reads stream.
func subscribed(t *testing.T, stream []byte) *Subscription {
	t.Helper()
	cfg := configFor("http://kinesis.invalid")
	cfg.HTTPClient = doFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, Proto: "HTTP/2.0", ProtoMajor: 2,
			Header: http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}},
			Body:   io.NopCloser(bytes.NewReader(stream)),
		}, nil
	})
	sub, err := client(t, cfg).Subscribe(t.Context(), "arn:aws:kinesis:us-east-1:123456789012:stream/orders/consumer/c:1", "shardId-000000000000",
		types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sub.Close() }) // read to the end
	return sub
}

// Memory for answers is used again, and given up when it is of no use any more.
func TestDesksThatNobodyNeedsAreDropped(t *testing.T) {
	var s desks
	busy := func(n, rounds int) {
		for range rounds {
			var all []*desk
			for range n {
				d := s.take()
				d.body = slices.Grow(d.body, 1<<20)
				all = append(all, d)
			}
			for _, d := range all {
				s.giveBack(d)
			}
		}
	}
	total := func() (n int) {
		for _, d := range s.free {
			n += cap(d.body)
		}
		return n
	}
	busy(8, 3*desksLook)
	if len(s.free) != 8 || s.bytes != total() {
		t.Errorf("eight at once: %d kept, %d bytes, in fact %d", len(s.free), s.bytes, total())
	}
	busy(2, 3*desksLook)
	if len(s.free) != 2 || s.bytes != total() {
		t.Errorf("two at once: %d kept, %d bytes, in fact %d", len(s.free), s.bytes, total())
	}
	busy(100, 1)
	if s.bytes > desksKept || s.bytes != total() {
		t.Errorf("%d bytes kept, in fact %d", s.bytes, total())
	}
}
