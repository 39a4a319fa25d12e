package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// stub answers calls in the service's place: what the real one does is tested in
// module peers; here it fails as that cannot be made to.
type stub struct {
	t  *testing.T
	mu sync.Mutex
	// answers are those to each action, in turn; the last one stays.
	answers map[string][]answer
	calls   []call
	log     bytes.Buffer
}

type call struct {
	action string
	in     map[string]any
}

type answer func(ctx context.Context) (*http.Response, error)

// says is an answer of the service's.
func says(status int, body string) answer {
	return func(context.Context) (*http.Response, error) {
		return &http.Response{
			StatusCode: status,
			Header:     http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amzn-Requestid": {"REQ-1"}},
			Body:       io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

func fails(code, message string) answer {
	status := 400
	if code == "InternalServerError" {
		status = 500
	}
	return says(status, fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":%q}`, code, message))
}

// hangs until the caller gives up.
func hangs(ctx context.Context) (*http.Response, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func breaks(context.Context) (*http.Response, error) {
	return nil, errors.New("connection reset by peer")
}

func table(status string) answer { return says(200, description(status)) }

func description(status string) string {
	return fmt.Sprintf(`{"Table":{"TableStatus":%q,"TableArn":"arn:aws:dynamodb:eu-west-1:123456789012:table/vegas",
		"KeySchema":[{"AttributeName":"group","KeyType":"HASH"},{"AttributeName":"id","KeyType":"RANGE"}],
		"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"},{"AttributeName":"group","AttributeType":"S"}]}}`, status)
}

var (
	done            = says(200, `{}`)
	notFound        = fails("ResourceNotFoundException", "Requested resource not found")
	throttle        = fails("ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the table was exceeded")
	failedCondition = fails("ConditionalCheckFailedException", "The conditional request failed")
)

func (s *stub) Do(r *http.Request) (*http.Response, error) {
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var in map[string]any
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.t.Errorf("%s: %v", action, err)
	}
	s.mu.Lock()
	s.calls = append(s.calls, call{action, in})
	queue := s.answers[action]
	if len(queue) == 0 {
		s.mu.Unlock()
		s.t.Errorf("nobody expected %s", action)
		return nil, errors.New("unexpected")
	}
	if len(queue) > 1 {
		s.answers[action] = queue[1:]
	}
	s.mu.Unlock()
	return queue[0](r.Context())
}

// count is how many calls of an action came.
func (s *stub) count(action string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.action == action {
			n++
		}
	}
	return n
}

// input is that of an action's last call.
func (s *stub) input(action string) (in map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.action == action {
			in = c.in
		}
	}
	return in
}

// stubbed is a store before a stub; the table is there unless answers say more.
func stubbed(t *testing.T, answers map[string][]answer, options ...func(*Options)) (*Store, *stub) {
	s := &stub{t: t, answers: answers}
	if answers["DescribeTable"] == nil {
		answers["DescribeTable"] = []answer{table("ACTIVE")}
	}
	st := New(append([]func(*Options){func(o *Options) {
		o.AWS = aws.Config{
			Region: "eu-west-1", HTTPClient: s,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
			}),
		}
		o.Logger = slog.New(slog.NewTextHandler(&s.log, nil))
	}}, options...)...)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st, s
}

// mentions tells which words an error lacks.
func mentions(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in: %v", w, err)
		}
	}
}
