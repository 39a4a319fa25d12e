package kinesisapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// What a user reads is what happened and what to do, not the SDK's layers.
func TestErrorsCarryNoLayersOfTheSDK(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	answer := func(status int, body string) aws.Config {
		return server(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	nobody := configFor(gone.URL)
	nobody.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no EC2 IMDS role found, operation error ec2imds: GetMetadata, http response error StatusCode: 403, request to EC2 IMDS failed")
	}))
	expired := configFor(gone.URL)
	expired.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("the SSO session has expired or is invalid")
	}))
	for name, c := range map[string]struct {
		cfg  aws.Config
		want string
	}{
		"refused":   {configFor(gone.URL), fmt.Sprintf(`: Post "%s/": dial tcp`, gone.URL)},
		"html":      {answer(200, "<html>hi</html>"), ": HTTP status 200 with an answer that does not decode: "},
		"html 404":  {answer(404, "<html>no</html>"), ": HTTP status 404 with an answer that does not decode: "},
		"redirect":  {answer(301, ""), ": HTTP status 301: what answers does not speak Kinesis"},
		"json 404":  {answer(404, `{"message":"no route"}`), ": HTTP status 404: no route: what answers"},
		"empty":     {answer(200, ""), ": the answer lacks what was asked for: what answers does not speak Kinesis"},
		"no keys":   {nobody, `"orders": no credentials were found in the environment, in ~/.aws or in a role of this machine: set AWS_ACCESS_KEY_ID`},
		"old login": {expired, `"orders": the SSO session has expired or is invalid: set`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t, c.cfg).Describe(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "docs/troubleshooting.md#") {
				t.Errorf("want %q and where to read on: %v", c.want, err)
			}
			for _, layer := range []string{"StatusCode", "RequestID: ,", "maximum number of attempts", "operation error", "UnknownError", "deserialization"} {
				if err != nil && strings.Contains(err.Error(), layer) {
					t.Errorf("%q in: %v", layer, err)
				}
			}
		})
	}
}

// A missing fan-out consumer is not a missing stream, and a quota of the control
// plane not the limit of a shard.
func TestFailuresPointToTheirOwnEntry(t *testing.T) {
	t.Parallel()
	c := client(t, server(t, refuse(400, "ResourceNotFoundException", "Consumer arn:aws:kinesis:… not found.")))
	if _, err := c.Subscribe(t.Context(), "arn", "shardId-000000000000", types.StartingPosition{Type: types.ShardIteratorTypeLatest}); err == nil || !strings.Contains(err.Error(), "#fan-out)") {
		t.Error(err)
	}
	c = client(t, server(t, refuse(400, "LimitExceededException", "cannot scale up over double")))
	_, err := Control(t.Context(), c, "split shard", "SplitShard", "shardId-000000000003", func(ctx context.Context, k *kinesis.Client) (any, error) {
		return k.SplitShard(ctx, &kinesis.SplitShardInput{ShardToSplit: aws.String("shardId-000000000003"), NewStartingHashKey: aws.String("1")})
	})
	if err == nil || !strings.HasPrefix(err.Error(), `split shard: stream "orders" shardId-000000000003: LimitExceededException: cannot`) || !strings.Contains(err.Error(), "#limits)") {
		t.Error(err)
	}
	stream, _ := ParseName("orders")
	if _, err := ParseGroup("a b", stream); err == nil || !strings.Contains(err.Error(), "#group-name)") {
		t.Error(err)
	}
}
