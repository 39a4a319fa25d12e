package localkinesis

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestHugeRequests are refused, whether they tell their size or not.
func TestHugeRequests(t *testing.T) {
	s := Start(t)
	for _, size := range []int64{bodyMax + 1, -1} {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(make([]byte, bodyMax+1)))
		r.ContentLength = size
		r.Header.Set("X-Amz-Target", target+".PutRecord")
		r.Header.Set("Content-Type", contentJSON)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=x, Signature=x")
		w := httptest.NewRecorder()
		if s.serveHTTP(w, r); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("a request of size %d: %d %s", size, w.Code, w.Body)
		}
	}
}
