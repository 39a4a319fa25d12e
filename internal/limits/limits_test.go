package limits

import (
	"strings"
	"testing"
)

func TestCheckPartitionKey(t *testing.T) {
	for key, ok := range map[string]bool{
		"": false, "a": true, strings.Repeat("k", 256): true, strings.Repeat("k", 257): false,
		strings.Repeat("ü", 256): true, strings.Repeat("ü", 257): false, "a\xff": false,
	} {
		if err := CheckPartitionKey(key); (err == nil) != ok {
			t.Errorf("CheckPartitionKey(%q) = %v", key, err)
		}
	}
}
