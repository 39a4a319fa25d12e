package localkinesis

import (
	"fmt"
	"testing"
)

// TestUnknownStreamsCostNothing: anybody can name streams that do not exist.
func TestUnknownStreamsCostNothing(t *testing.T) {
	s := Start(t, func(o *Options) { o.Streams = map[string]int{"orders": 1} })
	c := &call{server: s, op: operationNamed("DescribeStreamConsumer")}
	for i := range 100 {
		if err := c.rate(fmt.Sprint("none", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.account.rates); n != 0 {
		t.Errorf("%d rates are kept for streams that do not exist", n)
	}
	for i := range 21 {
		if err := c.rate("orders"); (err != nil) != (i == 20) {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
}
