package bridge

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/dynamodb"
	"github.com/libvegas/vegas/store/file"
	"github.com/libvegas/vegas/store/memory"
)

// awsConfigs are configurations by what options ask for, so that those who ask for
// the same share their connections.
type awsConfigs struct {
	s  *session
	mu sync.Mutex
	by map[awsOptions]aws.Config
}

type awsOptions struct{ region, endpoint, profile string }

// load is the configuration that options ask for; the zero value, which stands for
// the SDK's own, where they ask for nothing.
func (a *awsConfigs) load(ctx context.Context, region, endpoint, profile string) (aws.Config, error) {
	if given := a.s.cfg.aws; given != nil {
		return *given, nil
	}
	o := awsOptions{region, endpoint, profile}
	if o == (awsOptions{}) {
		return aws.Config{}, nil
	}
	if endpoint != "" {
		if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return aws.Config{}, badOption("the option endpoint is %.80q: want a URL such as http://127.0.0.1:4567", endpoint)
		}
	}
	a.mu.Lock()
	cfg, ok := a.by[o]
	a.mu.Unlock()
	if ok {
		return cfg, nil
	}
	made, err := a.make(ctx, o) // which reads files
	if err != nil {
		return cfg, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if cfg, ok := a.by[o]; ok {
		return cfg, nil
	}
	if a.by == nil {
		a.by = map[awsOptions]aws.Config{}
	}
	a.by[o] = made
	return made, nil
}

func (a *awsConfigs) make(ctx context.Context, o awsOptions) (aws.Config, error) {
	opts := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if o.region != "" {
		opts = append(opts, config.WithRegion(o.region))
	}
	if o.profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(o.profile))
	}
	if o.endpoint != "" {
		// Not by Config.BaseEndpoint: AWS_ENDPOINT_URL_KINESIS would win over it.
		opts = append(opts, config.WithBaseEndpoint(o.endpoint))
	}
	l := a.s.localAt(o.endpoint)
	if l != nil {
		opts = append(opts, config.WithCredentialsProvider(localCredentials))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return cfg, failuref(codeBadOption, "load the AWS configuration: %w: check the profile, AWS_PROFILE and AWS_CONFIG_FILE (see docs/troubleshooting.md#no-credentials)", err)
	}
	if cfg.Region == "" && o.endpoint != "" {
		cfg.Region = localRegion // an emulator takes any region; its users seldom set one
	}
	return cfg, nil
}

// openStore is the store that the option of that name asks for, of a consumer at an
// endpoint.
func (s *session) openStore(text, endpoint string, cfg aws.Config) (store.Store, error) {
	from := "the option store"
	if text == "" {
		if l := s.localAt(endpoint); l != nil {
			return file.New(l.positions), nil
		}
		text, from = os.Getenv("VEGAS_STORE"), "VEGAS_STORE"
	}
	name, place, _ := strings.Cut(text, ":")
	if text == "" {
		name = "dynamodb"
	}
	switch {
	case name == "dynamodb":
		return dynamodb.New(func(d *dynamodb.Options) {
			if d.AWS, d.Logger = cfg, s.log; place != "" {
				d.Table = place
			}
		}), nil
	case name == "file" && place != "":
		return file.New(place), nil
	case name == "memory" && place == "":
		return memory.New(), nil
	}
	names := []string{"dynamodb", "dynamodb:TABLE", "file:DIR"}
	has := func(e Extension) bool { return e.Name == "sqlite" && e.Store != nil }
	if name == "sqlite" && !slices.ContainsFunc(s.cfg.Extensions, has) {
		return nil, badOption("%s is %.80q: this engine is without SQLite, to be small: take file:DIR, or an engine that has it (see docs/troubleshooting.md#engine-without-sqlite)", from, text)
	}
	for _, e := range s.cfg.Extensions {
		if e.Store == nil {
			continue
		}
		if e.Name == name && place != "" {
			return e.Store(place, s.log.With(slog.String("store", name)))
		}
		if n := e.Name + ":…"; !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return nil, badOption("%s is %.80q: want %s or memory (see docs/troubleshooting.md#no-store)", from, text, strings.Join(names, ", "))
}
