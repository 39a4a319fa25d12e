//go:build peers && servers && unix

package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/libvegas/vegas/internal/foreign"
	"github.com/libvegas/vegas/store"
	vegasdynamodb "github.com/libvegas/vegas/store/dynamodb"
	"github.com/libvegas/vegas/store/storetest"
)

var dynamoLocalCommand = sync.OnceValues(func() ([]string, error) {
	return foreign.DynamoDB(context.Background(), "..")
})

// dynamoLocal starts a server and gives its address.
func dynamoLocal(t *testing.T) string {
	t.Helper()
	p := program{argv: need(t, dynamoLocalCommand)}
	return address(t, p.serve(t, foreign.DynamoDBReady))
}

// dynamo is a table of its own for a test.
type dynamo struct {
	aws    aws.Config
	table  string
	client *dynamodb.Client
}

var tables atomic.Int32

func newDynamo(endpoint string) *dynamo {
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDPEER", "peer", ""),
	}
	return &dynamo{aws: cfg, table: fmt.Sprintf("vegas-%d", tables.Add(1)), client: dynamodb.NewFromConfig(cfg)}
}

// open is a store in the table; it ends with the test.
func (d *dynamo) open(t *testing.T, options ...func(*vegasdynamodb.Options)) *vegasdynamodb.Store {
	t.Helper()
	s := vegasdynamodb.New(append([]func(*vegasdynamodb.Options){func(o *vegasdynamodb.Options) {
		o.AWS = d.aws
		o.Table = d.table
		o.Logger = slog.New(slog.DiscardHandler)
	}}, options...)...)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestDynamoDB(t *testing.T) {
	t.Parallel()
	endpoint := dynamoLocal(t)
	t.Run("suite", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return newDynamo(endpoint).open(t) })
	})
	t.Run("shared", func(t *testing.T) {
		d := newDynamo(endpoint)
		storetest.Shared(t, func(t *testing.T) store.Store { return d.open(t) })
	})
	t.Run("separate", func(t *testing.T) { dynamoSeparate(t, newDynamo(endpoint)) })
	t.Run("pages", func(t *testing.T) { dynamoPages(t, newDynamo(endpoint)) })
	t.Run("foreign attributes survive", func(t *testing.T) { dynamoForeignAttributes(t, newDynamo(endpoint)) })
	t.Run("made by many at once", func(t *testing.T) { dynamoMadeAtOnce(t, newDynamo(endpoint)) })
	t.Run("tables that are refused", func(t *testing.T) { dynamoRefused(t, endpoint) })
	t.Run("lost answers", func(t *testing.T) { dynamoLostAnswers(t, newDynamo(endpoint)) })
	t.Run("races with lost answers", func(t *testing.T) { dynamoLostRaces(t, newDynamo(endpoint)) })
	t.Run("capacity", func(t *testing.T) { dynamoCapacity(t, newDynamo(endpoint)) })
}

// swap writes a row that must be taken.
func swap(t *testing.T, s store.Store, r store.Row) store.Row {
	t.Helper()
	out, err := s.Swap(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func dynamoSeparate(t *testing.T, d *dynamo) {
	ctx := t.Context()
	s := d.open(t)
	r := swap(t, s, store.Row{Group: "g", ID: "worker#1"})
	beats := store.Separate(s)
	r = swap(t, beats, r)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	swap(t, beats, r)
	if rows, err := store.Peek(ctx, beats, "g", "worker#"); err != nil || len(rows) != 1 {
		t.Errorf("%v, %v", rows, err)
	}
	if err := beats.Close(); err != nil {
		t.Error(err)
	}
	if _, err := beats.Swap(ctx, r); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("after Close: %v", err)
	}
}

// A page of the service's ends at 1 MiB.
func dynamoPages(t *testing.T, d *dynamo) {
	s := d.open(t)
	for i := range 5 {
		swap(t, s, store.Row{Group: "g", ID: fmt.Sprintf("mark#%d", i), Body: bytes.Repeat([]byte{byte(i)}, 300<<10)})
	}
	rows, err := s.List(t.Context(), "g", "mark#")
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, r := range rows {
		if r.ID != fmt.Sprintf("mark#%d", i) || len(r.Body) != 300<<10 || r.Body[0] != byte(i) {
			t.Errorf("row %d: %s", i, r.ID)
		}
	}
}

// Whatever else somebody puts into an item is left alone, and neither read.
func dynamoForeignAttributes(t *testing.T, d *dynamo) {
	ctx := t.Context()
	s := d.open(t)
	r := swap(t, s, store.Row{Group: "g", ID: "lease#1", Fields: map[string]string{"owner": "a", "going": "x"}, Body: []byte("b")})
	key := map[string]types.AttributeValue{"group": &types.AttributeValueMemberS{Value: "g"}, "id": &types.AttributeValueMemberS{Value: "lease#1"}}
	_, err := d.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &d.table, Key: key,
		UpdateExpression: aws.String("SET expires = :n, note = :s, tags = :ss, more = :m"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":n": &types.AttributeValueMemberN{Value: "17"}, ":s": &types.AttributeValueMemberS{Value: "do not touch"},
			":ss": &types.AttributeValueMemberSS{Value: []string{"x", "y"}},
			":m":  &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"deep": &types.AttributeValueMemberBOOL{Value: true}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Fields = map[string]string{"owner": "b", "new": "y"}
	r.Body = nil
	swap(t, s, swap(t, s, r))
	got, err := s.Get(ctx, "g", "lease#1")
	if err != nil || len(got.Fields) != 2 || got.Fields["owner"] != "b" || got.Fields["new"] != "y" || got.Body != nil {
		t.Errorf("%v, %v", got, err)
	}
	out, err := d.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &d.table, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"group", "id", "revision", "fields", "expires", "note", "tags", "more"} {
		if out.Item[name] == nil {
			t.Errorf("attribute %q is gone", name)
		}
	}
	if len(out.Item) != 8 {
		t.Errorf("%d attributes: %v", len(out.Item), out.Item)
	}

	// A broken item is told by name, and is not taken for an absent one.
	if _, err := d.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &d.table, Key: key, UpdateExpression: aws.String("REMOVE revision")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(ctx, "g", ""); err == nil || !strings.Contains(err.Error(), `"lease#1"`) || !strings.Contains(err.Error(), "#store-item") {
		t.Error(err)
	}
}

func dynamoMadeAtOnce(t *testing.T, d *dynamo) {
	var made atomic.Int32
	logger := slog.New(counting{&made, "the DynamoDB table is ready"})
	var wg sync.WaitGroup
	for i := range 8 {
		s := d.open(t, func(o *vegasdynamodb.Options) {
			o.Logger = logger
		})
		wg.Go(func() {
			if err := store.Open(t.Context(), s); err != nil {
				t.Error(err)
			}
			if _, err := s.Swap(t.Context(), store.Row{Group: "g", ID: fmt.Sprint("lease#", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("%d of them say that they made it", n)
	}
	out, err := d.client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &d.table})
	if err != nil || out.Table.BillingModeSummary == nil || out.Table.BillingModeSummary.BillingMode != types.BillingModePayPerRequest {
		t.Errorf("not on demand: %+v, %v", out, err)
	}
}

// counting counts the log's lines with a message.
type counting struct {
	n       *atomic.Int32
	message string
}

func (c counting) Enabled(context.Context, slog.Level) bool { return true }
func (c counting) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c counting) WithGroup(string) slog.Handler            { return c }
func (c counting) Handle(_ context.Context, r slog.Record) error {
	if r.Message == c.message {
		c.n.Add(1)
	}
	return nil
}

func dynamoRefused(t *testing.T, endpoint string) {
	ctx := t.Context()
	kcl := newDynamo(endpoint)
	_, err := kcl.client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &kcl.table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = kcl.open(t).List(ctx, "g", "")
	for _, want := range []string{"HASH leaseKey (S)", "HASH group (S), RANGE id (S)", "KCL", kcl.table, "#store-table"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}

	// A KCL pointed at a store's table fails on its keys.
	ours := newDynamo(endpoint)
	swap(t, ours.open(t), store.Row{Group: "g", ID: "lease#1"})
	_, err = ours.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &ours.table, Item: map[string]types.AttributeValue{
		"leaseKey": &types.AttributeValueMemberS{Value: "shardId-000000000000"}, "leaseCounter": &types.AttributeValueMemberN{Value: "1"},
	}})
	if err == nil {
		t.Error("the table takes a KCL's lease")
	}

	missing := newDynamo(endpoint)
	_, err = missing.open(t, func(o *vegasdynamodb.Options) { o.CreateTable = false }).Get(ctx, "g", "lease#1")
	for _, want := range []string{"does not exist", missing.table, "#store-table"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}

	// A table that goes away is not made again under a running process.
	gone := newDynamo(endpoint)
	s := gone.open(t)
	r := swap(t, s, store.Row{Group: "g", ID: "lease#1"})
	if _, err := gone.client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &gone.table}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Swap(ctx, r); err == nil || errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "it was there") {
		t.Errorf("after the table was deleted: %v", err)
	}
}

// loser is an HTTP client that loses answers: those of requests that lose says
// are carried out, and the caller learns nothing.
type loser struct {
	next http.RoundTripper
	lose func(action string) bool
	lost atomic.Int32
}

func (l *loser) Do(r *http.Request) (*http.Response, error) {
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	lose := l.lose(action)
	resp, err := l.next.RoundTrip(r)
	if err == nil && lose {
		l.lost.Add(1)
		resp.Body.Close()
		return nil, errors.New("connection reset by peer")
	}
	return resp, err
}

func (d *dynamo) losing(t *testing.T, lose func(action string) bool) (*vegasdynamodb.Store, *loser) {
	l := &loser{next: &http.Transport{}, lose: lose}
	t.Cleanup(l.next.(*http.Transport).CloseIdleConnections)
	return d.open(t, func(o *vegasdynamodb.Options) { o.AWS.HTTPClient = l }), l
}

func dynamoLostAnswers(t *testing.T, d *dynamo) {
	ctx := t.Context()
	var losses atomic.Int32 // how many answers of writes are to be lost
	s, l := d.losing(t, func(action string) bool {
		return (action == "UpdateItem" || action == "DeleteItem") && losses.Add(-1) >= 0
	})
	other := d.open(t)

	losses.Store(1)
	r := swap(t, s, store.Row{Group: "g", ID: "lease#1", Fields: map[string]string{"n": "1"}})
	losses.Store(2)
	r.Fields["n"] = "2"
	r = swap(t, s, r)
	if got, err := other.Get(ctx, "g", "lease#1"); err != nil || got.Revision != r.Revision || got.Fields["n"] != "2" {
		t.Errorf("%v, %v", got, err)
	}

	// Where another's write stands, nobody can say whose came first.
	old := r
	r = swap(t, other, r)
	losses.Store(1)
	if _, err := s.Swap(ctx, old); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("a lost refusal and another's write: %v, want an error that leaves it open", err)
	}
	losses.Store(0)
	if _, err := s.Swap(ctx, old); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a refusal that is not lost: %v", err)
	}

	losses.Store(1)
	if err := s.Delete(ctx, r); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("a lost deletion: %v, want an error that leaves it open", err)
	}
	if _, err := other.Get(ctx, "g", "lease#1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it was carried out: %v", err)
	}

	// A creation without an answer is not tried again: the row may have been made
	// and deleted meanwhile.
	losses.Store(100)
	before := l.lost.Load()
	swap(t, s, store.Row{Group: "g", ID: "worker#1"})
	if n := l.lost.Load() - before; n != 1 {
		t.Errorf("%d attempts at a creation", n)
	}
}

// Of every seven answers one is lost, and the sum is right: whoever is told so has
// written, and whoever is left open finds out by reading.
func dynamoLostRaces(t *testing.T, d *dynamo) {
	ctx := t.Context()
	swap(t, d.open(t), store.Row{Group: "g", ID: "counter", Fields: map[string]string{"n": "0"}})
	var wg sync.WaitGroup
	var told, open atomic.Int32
	for worker := range 8 {
		var n atomic.Int32
		s, _ := d.losing(t, func(string) bool { return n.Add(1)%7 == 0 })
		wg.Go(func() {
			for range 10 {
				for {
					r, err := s.Get(ctx, "g", "counter")
					if err != nil {
						t.Errorf("worker %d: %v", worker, err)
						return
					}
					var count int
					fmt.Sscan(r.Fields["n"], &count)
					r.Fields["n"] = fmt.Sprint(count + 1)
					if _, err = s.Swap(ctx, r); err == nil {
						told.Add(1)
						break
					}
					if !errors.Is(err, store.ErrConflict) {
						open.Add(1)
						break
					}
				}
			}
		})
	}
	wg.Wait()
	r, err := d.open(t).Get(ctx, "g", "counter")
	if err != nil {
		t.Fatal(err)
	}
	var count int32
	fmt.Sscan(r.Fields["n"], &count)
	t.Logf("%d were told that they wrote, %d that it is open, %d arrived", told.Load(), open.Load(), count)
	if count < told.Load() || count > told.Load()+open.Load() {
		t.Error("an increment was lost, or applied twice")
	}
}

// dynamoCapacity holds what rows cost to what the documentation says.
func dynamoCapacity(t *testing.T, d *dynamo) {
	var mu sync.Mutex
	spent := map[string]float64{}
	used := func(of string) float64 {
		mu.Lock()
		defer mu.Unlock()
		n := spent[of]
		spent[of] = 0
		return n
	}
	ask := middleware.InitializeMiddlewareFunc("capacity", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		switch in := in.Parameters.(type) {
		case *dynamodb.UpdateItemInput:
			in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
		case *dynamodb.QueryInput:
			in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
		case *dynamodb.GetItemInput:
			in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
		}
		out, md, err := next.HandleInitialize(ctx, in)
		mu.Lock()
		defer mu.Unlock()
		switch out := out.Result.(type) {
		case *dynamodb.UpdateItemOutput:
			spent["write"] += *out.ConsumedCapacity.CapacityUnits
		case *dynamodb.QueryOutput:
			spent["read"] += *out.ConsumedCapacity.CapacityUnits
		case *dynamodb.GetItemOutput:
			spent["read"] += *out.ConsumedCapacity.CapacityUnits
		}
		return out, md, err
	})
	s := d.open(t, func(o *vegasdynamodb.Options) {
		o.Client = dynamodb.NewFromConfig(d.aws, func(o *dynamodb.Options) {
			o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error { return stack.Initialize.Add(ask, middleware.After) })
		})
	})
	ctx := t.Context()
	worker := func(i int) store.Row {
		return store.Row{Group: "billing", ID: fmt.Sprintf("worker#host-%d", i), Fields: map[string]string{
			"version": "1", "worker": fmt.Sprintf("host-%d", i), "incarnation": strings.Repeat("i", 32), "beat": "123456",
			"state": "running", "bell": strings.Repeat("b", 120), "load": strings.Repeat("l", 60),
		}}
	}
	expect := func(what, of string, want float64) {
		t.Helper()
		if got := used(of); got != want {
			t.Errorf("%s costs %v units, want %v", what, got, want)
		}
	}
	var one store.Row
	for i := range 10 {
		one = swap(t, s, worker(i))
		expect("making a worker's row", "write", 1)
	}
	swap(t, s, one)
	expect("a heartbeat", "write", 1)
	if rows, err := s.Peek(ctx, "billing", "worker#"); err != nil || len(rows) != 10 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	expect("a look at ten workers' rows", "read", 0.5)
	if _, err := s.List(ctx, "billing", "worker#"); err != nil {
		t.Error(err)
	}
	expect("an exact look", "read", 1)
	lease := swap(t, s, store.Row{Group: "billing", ID: "lease#123456789012:orders:1767225600#shardId-000000000007", Fields: map[string]string{
		"version": "1", "worker": "host-1", "possession": "17", "parents": "shardId-000000000002 shardId-000000000003",
		"range": "170141183460469231731687303715884105728-340282366920938463463374607431768211455",
	}})
	used("write")
	lease.Fields["sequence"], lease.Fields["sub"] = strings.Repeat("4", 56), "12"
	swap(t, s, lease)
	expect("a checkpoint", "write", 1)
	if _, err := s.Get(ctx, lease.Group, lease.ID); err != nil {
		t.Error(err)
	}
	expect("reading a lease", "read", 1)
	swap(t, s, store.Row{Group: "billing", ID: "mark#1", Body: make([]byte, 3000)})
	expect("3,000 bytes of marks", "write", 3)
}
