package main

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/config"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/partition"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"
	"github.com/vmware/vmware-go-kcl-v2/logger"

	"github.com/libvegas/vegas/bench/contest"
)

var consumeVMware = contest.Contender{
	Name: "vmware-go-kcl-v2, polling", Side: contest.Consume, Paced: true, Module: "github.com/vmware/vmware-go-kcl-v2",
	Settings: "10,000 records a call (1,000 and 100 cost more), shards looked for every 100 ms, leases and checkpoints in memory, a checkpoint each batch, no metrics",
	Run: func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		c := config.NewKinesisClientLibConfig("contest", w.Stream, "us-east-1", "worker").
			WithInitialPositionInStream(config.TRIM_HORIZON).
			WithMaxRecords(10_000).
			WithIdleTimeBetweenReadsInMillis(10).
			WithShardSyncIntervalMillis(100).
			WithLogger(logger.NewLogrusLoggerWithConfig(logger.Configuration{EnableConsole: true, ConsoleLevel: logger.Error}))
		failed := make(chan error, 1)
		reader := worker.NewWorker(processors{m, failed}, c).
			WithKinesis(kinesis.NewFromConfig(cured(w))).
			WithCheckpointer(&leases{at: map[string]string{}})
		if err := reader.Start(); err != nil {
			return err
		}
		select {
		case <-m.Done():
			return nil // stopping takes seconds, and is not what is measured
		case err := <-failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	},
}

// processors makes one processor for each shard, which is itself.
type processors struct {
	meter  *contest.Meter
	failed chan<- error
}

func (p processors) CreateProcessor() interfaces.IRecordProcessor { return p }
func (processors) Initialize(*interfaces.InitializationInput)     {}
func (processors) Shutdown(*interfaces.ShutdownInput)             {}

func (p processors) ProcessRecords(in *interfaces.ProcessRecordsInput) {
	for i := range in.Records {
		if err := p.meter.Handle(in.Records[i].Data); err != nil {
			p.fail(err)
		}
	}
	if n := len(in.Records); n > 0 {
		if err := in.Checkpointer.Checkpoint(in.Records[n-1].SequenceNumber); err != nil {
			p.fail(err)
		}
	}
}

func (p processors) fail(err error) {
	select {
	case p.failed <- err:
	default:
	}
}

// leases are those of the only worker, who gets every one that it asks for.
type leases struct {
	mu sync.Mutex
	at map[string]string // checkpoints
}

func (*leases) Init() error { return nil }

func (*leases) GetLease(s *partition.ShardStatus, worker string) error {
	s.SetLeaseOwner(worker)
	s.SetLeaseTimeout(time.Now().Add(time.Hour))
	return nil
}

func (l *leases) CheckpointSequence(s *partition.ShardStatus) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at[s.ID] = s.GetCheckpoint()
	return nil
}

func (l *leases) FetchCheckpoint(s *partition.ShardStatus) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.at[s.ID]
	if !ok {
		return checkpoint.ErrSequenceIDNotFound
	}
	s.SetCheckpoint(at)
	return nil
}

func (*leases) RemoveLeaseInfo(string) error                    { return nil }
func (*leases) RemoveLeaseOwner(string) error                   { return nil }
func (*leases) GetLeaseOwner(string) (string, error)            { return "", nil }
func (*leases) ClaimShard(*partition.ShardStatus, string) error { return nil }
func (*leases) ListActiveWorkers(map[string]*partition.ShardStatus) (map[string][]*partition.ShardStatus, error) {
	return nil, nil
}
