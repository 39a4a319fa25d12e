package command

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// awsConfig is the SDK's configuration as the environment, the configuration
// files and the flags give it.
func (e *env) awsConfig(ctx context.Context) (aws.Config, error) {
	if e.endpoint != "" {
		if u, err := url.Parse(e.endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return aws.Config{}, usagef("--endpoint %q: want a URL such as http://localhost:4567", e.endpoint)
		}
	}
	var opts []func(*config.LoadOptions) error
	if e.region != "" {
		opts = append(opts, config.WithRegion(e.region))
	}
	if e.profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(e.profile))
	}
	if e.endpoint != "" {
		// Not by Config.BaseEndpoint: AWS_ENDPOINT_URL_KINESIS would win over it.
		opts = append(opts, config.WithBaseEndpoint(e.endpoint))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		if !e.otherEndpoint(cfg) {
			return aws.Config{}, errNoRegion
		}
		// An emulator takes any region; its users seldom set one.
		cfg.Region = "us-east-1"
	}
	return cfg, nil
}

// otherEndpoint tells that requests do not go to the region's own endpoint.
func (e *env) otherEndpoint(cfg aws.Config) bool {
	return cfg.BaseEndpoint != nil || os.Getenv("AWS_ENDPOINT_URL_KINESIS") != "" || os.Getenv("AWS_ENDPOINT_URL") != ""
}

// client calls the control plane.
func (e *env) client(ctx context.Context) (*kinesis.Client, error) {
	cfg, err := e.awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	return kinesis.NewFromConfig(cfg), nil
}

// target is a stream argument as requests take it: a name or an ARN.
type target struct{ name, arn *string }

func (t target) String() string {
	if t.arn != nil {
		return *t.arn
	}
	return *t.name
}

// parseStream checks the stream argument.
func parseStream(s string) (target, error) {
	if strings.HasPrefix(s, "arn:") {
		parts := strings.SplitN(s, ":", 6)
		name, ok := strings.CutPrefix(parts[len(parts)-1], "stream/")
		if len(parts) != 6 || parts[2] != "kinesis" || !ok || checkName(name) != nil {
			return target{}, usagef("stream %q: not the ARN of a stream: want arn:aws:kinesis:REGION:ACCOUNT:stream/NAME", s)
		}
		return target{arn: &s}, nil
	}
	if err := checkName(s); err != nil {
		return target{}, err
	}
	return target{name: &s}, nil
}

// checkName knows the rule for stream names:
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html
func checkName(s string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
	if s == "" || len(s) > 128 || strings.Trim(s, allowed) != "" {
		return usagef("stream name %.140q: want 1 to 128 letters, digits, '_', '.' and '-'", s)
	}
	return nil
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
	client, err := e.client(ctx)
	if err != nil {
		return nil
	}
	page, err := client.ListStreams(ctx, &kinesis.ListStreamsInput{})
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(page.StreamNames, func(n string) bool { return !strings.HasPrefix(n, prefix) })
}
