package bridge

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/record"
)

// local is an embedded Kinesis that a host has started, for its tests.
type local struct {
	mu        sync.Mutex
	server    *localkinesis.Server // nil: it has not started, or was stopped
	endpoint  string
	positions string        // directory of a store that goes with it
	served    chan struct{} // closed when it has ended
}

const localRegion = "us-east-1"

var localCredentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local", Source: "vegas"}, nil
})

// startLocal answers start_local.
func (s *session) startLocal(number uint32, m arguments) (results, error) {
	streams, err := localStreams(m["streams"])
	if err != nil {
		return nil, err
	}
	port, recordBytes := int64(0), int64(0)
	for name, into := range map[string]*int64{"port": &port, "record_bytes": &recordBytes} {
		if m[name] == nil {
			continue
		}
		if *into, err = m.number(name); err != nil {
			return nil, err
		}
	}
	if port < 0 || port > 65535 {
		return nil, badOption("port is %d: want 1 to 65535, or 0 for a free one", port)
	}
	if recordBytes != 0 && (recordBytes < limits.RecordBytes || recordBytes > limits.RecordBytesMax) {
		return nil, badOption("record_bytes is %d: want %d to %d", recordBytes, limits.RecordBytes, limits.RecordBytesMax)
	}
	noLimits, _ := m["no_limits"].(bool)
	delay := 50 * time.Millisecond
	if us, ok := m["state_delay"].(int64); ok && us >= 0 {
		delay = time.Duration(min(us, int64(time.Hour/time.Microsecond))) * time.Microsecond
	}
	s.mu.Lock()
	l := s.locals[number]
	s.mu.Unlock()
	if err := l.start(int(port), streams, func(o *localkinesis.Options) {
		o.Region, o.NoLimits, o.StateDelay = localRegion, noLimits, delay
	}); err != nil {
		return nil, err
	}
	if recordBytes > limits.RecordBytes {
		if err := l.raise(s.ctx, recordBytes); err != nil {
			l.close()
			return nil, failureOf(err)
		}
	}
	return results{"endpoint": l.endpoint, "environment": map[string]string{
		"AWS_ENDPOINT_URL": l.endpoint, "AWS_REGION": localRegion,
		"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
		"VEGAS_STORE": "file:" + l.positions,
	}}, nil
}

// localStreams are names with numbers of shards, or names alone for one shard each.
func localStreams(v any) (map[string]int, error) {
	streams := map[string]int{}
	switch v := v.(type) {
	case nil:
	case []any:
		for _, name := range v {
			s, ok := name.(string)
			if !ok {
				return nil, badOption("streams has something that is no name")
			}
			streams[s] = 1
		}
	case map[string]any:
		for name, n := range v {
			shards, ok := n.(int64)
			if !ok || shards < 1 || shards > 10000 {
				return nil, badOption("stream %.80q: want 1 to 10000 shards", name)
			}
			streams[name] = int(shards)
		}
	default:
		return nil, badOption("streams is neither a list of names nor a map of names to numbers of shards")
	}
	return streams, nil
}

func (l *local) start(port int, streams map[string]int, options func(*localkinesis.Options)) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	server := localkinesis.New(options)
	for name, shards := range streams {
		if err := server.CreateStream(name, shards); err != nil {
			return failureAs(codeBadOption, err)
		}
	}
	listener, err := localkinesis.Listen(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vegas-local-")
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("a directory for positions, in the one for temporary files (TMPDIR names another): %w", err)
	}
	l.server, l.endpoint, l.positions = server, "http://"+listener.Addr().String(), filepath.Join(dir, "positions")
	l.served = make(chan struct{})
	go func(ended chan struct{}) {
		defer close(ended)
		_ = server.Serve(listener) // until close
	}(l.served)
	return nil
}

// raise lets all streams take larger records.
func (l *local) raise(ctx context.Context, bytes int64) error {
	l.mu.Lock()
	server := l.server
	l.mu.Unlock()
	if server == nil { // it was stopped meanwhile
		return record.ErrClosed
	}
	client := kinesis.New(kinesis.Options{Region: localRegion, BaseEndpoint: &l.endpoint, Credentials: localCredentials})
	for _, name := range server.Streams() {
		stream, err := server.Stream(name)
		if err != nil {
			return err
		}
		_, err = client.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{
			StreamARN: aws.String(stream.ARN), MaxRecordSizeInKiB: aws.Int32(int32(bytes >> 10)),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// close ends the server and forgets what it had.
func (l *local) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server == nil {
		return
	}
	_ = l.server.Close()
	<-l.served
	os.RemoveAll(filepath.Dir(l.positions))
	l.server = nil
}

// stopLocal answers stop_local.
func (s *session) stopLocal(m arguments) error {
	number, err := m.id("local")
	if err != nil {
		return err
	}
	s.mu.Lock()
	l := s.locals[number]
	s.mu.Unlock()
	if l == nil {
		return badOption("there is no local server %d", number)
	}
	l.close()
	return nil
}

// localAt is the local server of this session at an endpoint, if there is one.
func (s *session) localAt(endpoint string) *local {
	if endpoint == "" {
		return nil
	}
	s.mu.Lock()
	locals := slices.Collect(maps.Values(s.locals))
	s.mu.Unlock()
	for _, l := range locals {
		l.mu.Lock() // which takes long while it ends
		at := l.server != nil && l.endpoint == endpoint
		l.mu.Unlock()
		if at {
			return l
		}
	}
	return nil
}
