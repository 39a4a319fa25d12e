package command

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"github.com/libvegas/vegas/internal/kinesisapi"
)

// awsConfig is the SDK's configuration as the environment, the configuration
// files and the flags give it, for calls about the stream that is named; its ARN
// may bring the region.
func (e *env) awsConfig(ctx context.Context, name kinesisapi.Name) (aws.Config, error) {
	return e.loadAWS(ctx, name, e.endpoint)
}

// loadAWS is awsConfig for any service; an endpoint, if there is one, is for all.
func (e *env) loadAWS(ctx context.Context, name kinesisapi.Name, endpoint string) (aws.Config, error) {
	if e.endpoint != "" {
		if u, err := url.Parse(e.endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return aws.Config{}, usagef("--endpoint %q: want a URL such as http://localhost:4567", e.endpoint)
		}
	}
	// What the SDK has to say reaches the user as the error of a call.
	var log logging.Logger = logging.Nop{}
	if e.verbose {
		log = logging.NewStandardLogger(e.told)
	}
	opts := []func(*config.LoadOptions) error{config.WithLogger(log)}
	if e.region != "" {
		opts = append(opts, config.WithRegion(e.region))
	}
	if e.profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(e.profile))
	}
	if endpoint != "" {
		// Not by Config.BaseEndpoint: AWS_ENDPOINT_URL_KINESIS would win over it.
		opts = append(opts, config.WithBaseEndpoint(endpoint))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	switch {
	case cfg.Region != "":
	case name.Region != "":
		cfg.Region = name.Region
	case e.otherEndpoint(cfg):
		// An emulator takes any region; its users seldom set one.
		cfg.Region = "us-east-1"
	default:
		return aws.Config{}, errNoRegion
	}
	return cfg, nil
}

// otherEndpoint tells that requests do not go to the region's own endpoint.
func (e *env) otherEndpoint(cfg aws.Config) bool {
	return e.endpoint != "" || cfg.BaseEndpoint != nil || os.Getenv("AWS_ENDPOINT_URL_KINESIS") != "" || os.Getenv("AWS_ENDPOINT_URL") != ""
}

// api makes calls about the stream that is named; about none with the zero name.
func (e *env) api(ctx context.Context, name kinesisapi.Name) (*kinesisapi.Client, error) {
	cfg, err := e.awsConfig(ctx, name)
	if err != nil {
		return nil, err
	}
	return kinesisapi.New(name, kinesisapi.Options{AWS: cfg}), nil
}

// parseStream checks the stream argument.
func parseStream(s string) (kinesisapi.Name, error) {
	name, err := kinesisapi.ParseName(s)
	if err != nil {
		return name, &usageError{err}
	}
	return name, nil
}

// parseNewStream checks the name of a stream that is to be made.
func parseNewStream(s string) error {
	name, err := parseStream(s)
	if err == nil && name.ARN != "" {
		return usagef("stream %q: a new stream has a name: its ARN follows from that", s)
	}
	return err
}

// shardID accepts a shard's number for its id.
func shardID(s string) (string, error) {
	if s != "" && len(s) <= 12 && strings.Trim(s, "0123456789") == "" {
		return "shardId-" + strings.Repeat("0", 12-len(s)) + s, nil
	}
	if digits, ok := strings.CutPrefix(s, "shardId-"); ok && digits != "" && strings.Trim(digits, "0123456789") == "" {
		return s, nil
	}
	return "", usagef("shard %q: want a number such as 3, or an id such as shardId-000000000003", s)
}

// completeStreams offers the names of the account's streams to the shell.
func (e *env) completeStreams(ctx context.Context, prefix string) []string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	all, err := e.listStreams(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range all {
		if strings.HasPrefix(s.Name, prefix) {
			names = append(names, s.Name)
		}
	}
	return names
}
