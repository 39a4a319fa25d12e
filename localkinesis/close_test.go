package localkinesis

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestNothingBeginsAfterClose: what Close waits for has ended when it returns,
// so a request that was read just before must not be handled just after.
func TestNothingBeginsAfterClose(t *testing.T) {
	s := Start(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if r := recover(); r != http.ErrAbortHandler { //nolint:errorlint // the value of a panic
			t.Errorf("a request after Close was handled: %v", r)
		}
	}()
	s.serveHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, adminPath+"health", nil))
}
