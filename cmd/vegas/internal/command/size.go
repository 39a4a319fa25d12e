package command

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// sizeFlag is a flag that takes a number of bytes, such as 500MB or 2GiB.
type sizeFlag int64

var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// Set is pflag.Value's.
func (s *sizeFlag) Set(text string) error {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(strings.ToLower(text), strings.ToLower(unit.name))
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if n *= unit.bytes; err != nil || n < 1 || n >= math.MaxInt64 || math.IsNaN(n) {
			break
		}
		*s = sizeFlag(n)
		return nil
	}
	return fmt.Errorf("want a size such as 500MB or 2GiB")
}

// String is pflag.Value's.
func (s *sizeFlag) String() string {
	for i := 3; i >= 0; i-- {
		if n := int64(sizeUnits[i].bytes); int64(*s) >= n && int64(*s)%n == 0 {
			return fmt.Sprintf("%d%s", int64(*s)/n, sizeUnits[i].name)
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Type is pflag.Value's.
func (s *sizeFlag) Type() string { return "size" }

// size writes a number of bytes.
func size(n float64) string {
	for _, unit := range []string{"bytes", "kB", "MB", "GB"} {
		if n < 1000 {
			if unit == "bytes" {
				return plural(int(n), "byte")
			}
			return fmt.Sprintf("%.1f %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.1f TB", n)
}
