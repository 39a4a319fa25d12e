package main

import (
	"context"
	"fmt"
	"net/http"

	producer "github.com/a8m/kinesis-producer"
	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/kinesis"

	"github.com/libvegas/vegas/bench/contest"
)

var produceA8M = contest.Contender{
	Name: "a8m/kinesis-producer", Side: contest.Produce, Module: "github.com/a8m/kinesis-producer",
	Settings: "aggregates of 50 KB, the largest that it takes, 8 connections (4 and 16 cost the same); its client is the AWS SDK's version 1, the only one that it takes",
	Not:      onlyAggregated,
	Run: func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		s, err := session.NewSession(&aws.Config{
			Region: new("us-east-1"), Endpoint: &w.Endpoint,
			Credentials: credentials.NewStaticCredentials("AKIDPEER", "peer", ""),
			HTTPClient:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}},
		})
		if err != nil {
			return err
		}
		client, keys, payloads := kinesis.New(s), w.AllKeys(), m.Payloads()
		send := func(from, to int) error {
			p := producer.New(&producer.Config{
				StreamName: w.Stream, Client: client, Logger: silent{},
				MaxConnections: a8mConnections,
			})
			failures, failed := p.NotifyFailures(), make(chan error, 1)
			go func() {
				var first error
				for f := range failures {
					if first == nil {
						first = fmt.Errorf("%w", f)
					}
				}
				failed <- first
			}()
			p.Start()
			for i := from; i < to; i++ {
				if err := p.Put(payloads.Of(i), keys[w.KeyIndex(i)]); err != nil {
					return err
				}
			}
			p.Stop() // which waits until all is stored
			return <-failed
		}
		if err := send(0, w.Warm); err != nil {
			return err
		}
		m.Begin()
		return send(w.Warm, w.Records)
	},
}

const a8mConnections = 8

// silent is a logger.
type silent struct{}

func (silent) Info(string, ...producer.LogValue)         {}
func (silent) Error(string, error, ...producer.LogValue) {}
