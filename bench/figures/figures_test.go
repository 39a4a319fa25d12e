package figures

import (
	"flag"
	"math"
	"os"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		turns []float64
		want  Spread
		text  string
	}{
		{[]float64{3}, Spread{3, 3, 3, 1}, "3.00"},
		{[]float64{3, 1}, Spread{2, 1, 3, 2}, "2.00 (1.00–3.00)"},
		{[]float64{5, 1, 3, 2, 40}, Spread{3, 1, 40, 5}, "3.00 (1.00–40.0)"},
	} {
		s := Of(c.turns)
		if s != c.want || s.Text() != c.text {
			t.Errorf("Of(%v) = %v, %q; want %v, %q", c.turns, s, s.Text(), c.want, c.text)
		}
	}
	if s := Of(nil); s.N != 0 || !math.IsNaN(s.Median) || s.Text() != "–" {
		t.Errorf("Of(nil) = %v, %q", s, s.Text())
	}
}

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0.00", 0.0456: "0.046", 0.0994: "0.099", 0.0996: "0.10", 0.604: "0.60", 9.994: "9.99", 9.996: "10.0", 12.34: "12.3", 99.94: "99.9", 99.96: "100",
		123.4: "123", 999.6: "1,000", 1234: "1,230", 12345: "12,300", 1_999_999: "2,000,000", -1234: "-1,230",
	} {
		if got := Number(x); got != want {
			t.Errorf("Number(%v) = %q, want %q", x, got, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	table := Table{Head: []string{"", "us"}}
	table.Add("a|b", "1.00")
	if got, want := table.Markdown(), "|  | us |\n|---|---:|\n| a\\|b | 1.00 |\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestInsert(t *testing.T) {
	page := "before\n<!-- a: written by x -->\nold\n<!-- end of a -->\nafter\n"
	got, err := Insert(page, "a", "new\n")
	want := "before\n<!-- a: written by x -->\n\nnew\n\n<!-- end of a -->\nafter\n"
	if err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if again, err := Insert(got, "a", "new"); err != nil || again != want {
		t.Errorf("a second time: %q, %v", again, err)
	}
	for _, page := range []string{"", "<!-- a: x -->", "<!-- end of a -->\n<!-- a: x -->\n", "<!-- ab: x -->\n<!-- end of ab -->"} {
		if _, err := Insert(page, "a", "new"); err == nil {
			t.Errorf("Insert into %q: no error", page)
		}
	}
}

var update = flag.Bool("update", false, "write testdata anew")

func TestSVG(t *testing.T) {
	p := Bars{Title: "Sending: client CPU time a record", Unit: "microseconds; less is better", Groups: []Group{
		{
			Title: "100 B, aggregated", Line: 0.6, LineLabel: "wire floor, JSON",
			Bars: []Bar{
				{"vegas", Of([]float64{0.62, 0.66, 0.71}), Own},
				{"AWS SDK, PutRecords", Of([]float64{2.0, 2.2, 2.6}), Other},
				{"a8m/kinesis-producer", Of([]float64{0.84, 0.9, 1.2}), Other},
				{"KPL, tuned", Of([]float64{27, 33, 39}), Other},
				{"wire floor, JSON", Of([]float64{0.58, 0.6, 0.63}), Floor},
				{"wire floor, CBOR", Of([]float64{0.5, 0.53, 0.55}), Floor},
			},
		},
		{Title: "a & b < c", Bars: []Bar{{"once", Of([]float64{3}), Own}, {"never", Of(nil), Other}}},
	}}
	got := p.SVG()
	const golden = "testdata/bars.svg"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got != string(want) {
		t.Errorf("%v; the picture differs from %s: look at it, then go test ./bench/figures -update", err, golden)
	}
	if strings.Contains(got, "NaN") || strings.Contains(got, "a & b") {
		t.Error("the picture holds NaN, or text that is not escaped")
	}
}
