package command

import "testing"

func TestSizeFlag(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "1000B": 1000, "500MB": 500e6, "1.5kB": 1500, "2GiB": 2 << 30, "2gib": 2 << 30, "64 KiB": 64 << 10,
		"": 0, "0": 0, "-1": 0, "1XB": 0, "MB": 0, "nan": 0, "1e30": 0,
	} {
		var s sizeFlag
		if err := s.Set(text); (err == nil) != (want > 0) || int64(s) != want {
			t.Errorf("%q: %d, %v; want %d", text, s, err, want)
		}
	}
	for n, want := range map[sizeFlag]string{1 << 30: "1GiB", 3 << 20: "3MiB", 1500: "1500", 0: "0"} {
		if got := n.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(n), got, want)
		}
	}
}
