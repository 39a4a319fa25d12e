package bridge

import (
	"fmt"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// metricsPage is docs/metrics.md: the rows of the table under each heading, by the
// name in their first column.
func metricsPage(t *testing.T) map[string]map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	page, heading := map[string]map[string][]string{}, ""
	name := regexp.MustCompile("^`([a-z_]+)`$")
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
			page[heading] = map[string][]string{}
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if m := name.FindStringSubmatch(cells[0]); m != nil && len(cells) > 1 {
			if page[heading][m[1]] != nil {
				t.Errorf("docs/metrics.md has %s twice under %q", m[1], heading)
			}
			page[heading][m[1]] = cells[1:]
		}
	}
	return page
}

// same compares what a table of docs/metrics.md names with what there is.
func same[V, W any](t *testing.T, heading string, page map[string]V, there map[string]W) {
	t.Helper()
	for name := range there {
		if _, ok := page[name]; !ok {
			t.Errorf("docs/metrics.md does not say what %s is: it belongs under %q", name, heading)
		}
	}
	for name := range page {
		if _, ok := there[name]; !ok {
			t.Errorf("docs/metrics.md has %s under %q, and there is no such name", name, heading)
		}
	}
}

func TestThePageOfMetricsHasAProducersNames(t *testing.T) {
	page := metricsPage(t)
	h := start(t, Config{})
	h.local(map[string]any{"orders": 1}, map[string]any{"durable": t.TempDir()})
	h.send(0, 0, record.Record{PartitionKey: "k", Data: []byte("x")})
	h.call(methodFlush, results{"producer": 0, "timeout": 10_000_000})
	stats := h.call(methodStats, results{"producer": 0})["stats"].(map[string]any)
	want := maps.Clone(page["Of a producer"])
	maps.Copy(want, page["Of a durable buffer"])
	same(t, "Of a producer", want, stats)
	lanes := stats["lanes"].([]any)
	if len(lanes) != 1 {
		t.Fatalf("%d lanes", len(lanes))
	}
	same(t, "Of each lane", page["Of each lane"], lanes[0].(map[string]any))
	if err := h.close(); err != nil {
		t.Error(err)
	}

	// What a producer without a buffer does not have.
	plain := start(t, Config{})
	plain.local(map[string]any{"orders": 1}, nil)
	same(t, "Of a producer", page["Of a producer"], plain.call(methodStats, results{"producer": 0})["stats"].(map[string]any))
	if err := plain.close(); err != nil {
		t.Error(err)
	}
}

func TestThePageOfMetricsHasAConsumersNames(t *testing.T) {
	page := metricsPage(t)
	inWorld(t, "", 1, func(w *world) {
		w.puts(5)
		p := w.program()
		p.consume(nil)
		time.Sleep(10 * time.Second)
		answer, _ := p.call(methodStats, results{"consumer": 1})
		stats := answer["stats"].(map[string]any)
		same(w.T, "Of a consumer", page["Of a consumer"], stats)
		shards := stats["shards"].([]any)
		if len(shards) != 1 {
			w.Fatalf("%d shards", len(shards))
		}
		shard := shards[0].(map[string]any)
		same(w.T, "Of each shard", page["Of each shard"], shard)
		if shard["read"] != true || shard["records_received"] != int64(5) || shard["records_unhandled"] != int64(0) || shard["behind_ms"] != int64(0) {
			w.Error(shard)
		}
		if err := p.close(); err != nil {
			w.Error(err)
		}
		if err := p.kill(); err != nil {
			w.Error(err)
		}
	})
}

// Every field of the structs stands in its table's last column. Of a buffer's, those
// that a user can do something about do.
func TestThePageOfMetricsHasTheFieldsOfGo(t *testing.T) {
	page := metricsPage(t)
	for heading, of := range map[string]reflect.Type{
		"Of a producer": reflect.TypeFor[vegas.ProducerStats](), "Of a durable buffer": reflect.TypeFor[buffer.Stats](),
		"Of each lane":  reflect.TypeFor[vegas.LaneStats](),
		"Of a consumer": reflect.TypeFor[vegas.ConsumerStats](), "Of each shard": reflect.TypeFor[vegas.ShardStats](),
	} {
		there, named := map[string]bool{}, map[string]bool{}
		for _, f := range reflect.VisibleFields(of) {
			there[f.Name] = true
		}
		field := regexp.MustCompile("^`(?:Durable\\.)?([A-Za-z]+)`")
		for name, cells := range page[heading] {
			if m := field.FindStringSubmatch(cells[3]); m != nil {
				named[m[1]] = true
			} else if !strings.HasPrefix(cells[3], "none: ") {
				t.Errorf("docs/metrics.md: %s: %q names no field of %s, and no reason why there is none", name, cells[3], of)
			}
		}
		switch heading {
		case "Of a producer":
			named["Durable"] = true // a table of its own
		case "Of a durable buffer":
			for _, left := range []string{"First", "Limit", "Quarantined", "Syncs", "Appended", "Stalled"} {
				delete(there, left)
			}
		}
		same(t, fmt.Sprintf("%s, last column", heading), named, there)
	}
}

// What an Observer is told stands in one of the tables, as what it is.
func TestThePageOfMetricsHasAnObserversNames(t *testing.T) {
	page := metricsPage(t)
	file, err := goparser.ParseFile(token.NewFileSet(), "../../observe/observe.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{"Counter": "sum", "Gauge": "state", "Histogram": "distribution"}
	there := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		of, ok := v.Type.(*ast.Ident)
		if !ok || kinds[of.Name] == "" {
			return true
		}
		name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Error(err)
		}
		there[name] = kinds[of.Name]
		return true
	})
	if len(there) < 40 {
		t.Fatalf("observe/observe.go has %d names", len(there))
	}
	told := map[string]bool{}
	for _, heading := range []string{"Of a producer", "Of a durable buffer", "Of each lane", "Of a consumer", "Of each shard"} {
		for name := range page[heading] {
			told[name] = true
		}
	}
	only := "For an Observer only"
	for name, cells := range page[only] {
		switch {
		case told[name]:
			t.Errorf("docs/metrics.md has %s under %q, and in another table", name, only)
		case there[name] == "":
			t.Errorf("docs/metrics.md has %s under %q, and observe has no such name", name, only)
		case cells[1] != there[name]:
			t.Errorf("docs/metrics.md calls %s a %s, and it is a %s", name, cells[1], there[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if !told[name] && page[only][name] == nil {
			t.Errorf("docs/metrics.md does not say what %s is: it belongs under %q", name, only)
		}
	}
}
