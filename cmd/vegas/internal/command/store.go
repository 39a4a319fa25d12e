package command

import (
	"context"
	"net"
	"net/url"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/pflag"

	"github.com/libvegas/vegas/cmd/vegas/internal/stores"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/store"
)

// storeFlag is where the rows of a group are: what --store names, else
// VEGAS_STORE, else a DynamoDB table.
type storeFlag struct{ text string }

func (s *storeFlag) add(f *pflag.FlagSet) {
	f.StringVar(&s.text, "store", "", "the `store` of the group, see above; default: VEGAS_STORE, or else dynamodb")
}

// named is the text that names the store, and where it stands.
func (s *storeFlag) named() (text, from string) {
	if s.text != "" {
		return s.text, "--store"
	}
	return os.Getenv("VEGAS_STORE"), "VEGAS_STORE"
}

// open makes the store, of a group that reads the stream that is named.
func (s *storeFlag) open(ctx context.Context, e *env, name kinesisapi.Name) (store.Store, error) {
	text, from := s.named()
	if text == "" {
		if at := e.ownMachine(); at != "" {
			return nil, usagef("the stream is on this machine (%s) and no store is named, so its positions would go to a table in AWS: use --store or VEGAS_STORE, such as file:DIR (see docs/troubleshooting.md#no-store)", at)
		}
		text = "dynamodb"
	}
	var failed error // of AWS's configuration
	opened, err := stores.Open(text, stores.Options{
		Log: e.logger(),
		AWS: func() (aws.Config, error) {
			var cfg aws.Config
			cfg, failed = e.loadAWS(ctx, name, "") // --endpoint is that of Kinesis
			return cfg, failed
		},
	})
	if err != nil && failed == nil {
		return nil, usagef("%s %w (see docs/troubleshooting.md#no-store)", from, err)
	}
	return opened, err
}

// ownMachine is the address of Kinesis if that is on this machine, while
// DynamoDB is AWS's.
func (e *env) ownMachine() string {
	if os.Getenv("AWS_ENDPOINT_URL") != "" || os.Getenv("AWS_ENDPOINT_URL_DYNAMODB") != "" {
		return ""
	}
	at := e.endpoint
	if at == "" {
		at = os.Getenv("AWS_ENDPOINT_URL_KINESIS")
	}
	u, err := url.Parse(at)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return at
	}
	return ""
}
