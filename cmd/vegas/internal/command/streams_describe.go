package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/cmd/vegas/internal/shardtree"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
	"github.com/libvegas/vegas/internal/keyspace"
)

func newStreamsDescribe(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "describe STREAM",
		Short: "Show a stream and its shards as a tree",
		Long: `Show a stream and its shards as a tree.

The children of a split hang below their parent; a child of a merge hangs below
one parent and names the other: 5←4 came from the shard above it and from
shard 4. The bar shows which part of the hash key space a shard owns: solid for
open shards, dotted for closed ones, whose records can still be read.`,
		Args: exactArgs("STREAM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := e.stream(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.Close()
			return s.show(cmd.Context())
		},
	}
}

// streamView is a stream in JSON.
type streamView struct {
	Name           string      `json:"name"`
	ARN            string      `json:"arn"`
	Status         string      `json:"status"`
	Mode           string      `json:"mode,omitempty"`
	Distribution   string      `json:"distribution,omitempty"`
	RetentionHours int32       `json:"retention_hours"`
	MaxRecordKiB   int32       `json:"max_record_kib,omitempty"`
	Consumers      int32       `json:"consumers"`
	Encryption     string      `json:"encryption,omitempty"`
	Created        string      `json:"created,omitempty"`
	Shards         []shardView `json:"shards"`
}

type shardView struct {
	ID      string   `json:"id"`
	Parents []string `json:"parents,omitempty"`
	// Both ends belong to the shard; decimal, beyond what JSON numbers hold.
	FirstHash string `json:"first_hash"`
	LastHash  string `json:"last_hash"`
	// Share of the hash key space, 0 to 1.
	Share  float64 `json:"share"`
	Open   bool    `json:"open"`
	First  string  `json:"first_sequence,omitempty"`
	Last   string  `json:"last_sequence,omitempty"`
	ranges keyspace.Range
}

// show prints the stream as it is now.
func (s *streamClient) show(ctx context.Context) error {
	v, err := s.view(ctx)
	if err != nil {
		return err
	}
	if s.e.json() {
		return s.e.printJSON(v)
	}
	style := terminal.StyleFor(s.e.out)
	width, _ := terminal.Size(s.e.out)
	_, err = fmt.Fprintln(s.e.out, strings.Join(v.draw(width, style), "\n"))
	return err
}

func (s *streamClient) view(ctx context.Context) (*streamView, error) {
	d, err := s.summary(ctx)
	if err != nil {
		return nil, err
	}
	shards, err := s.shards(ctx)
	if err != nil {
		return nil, err
	}
	return &streamView{
		Name: aws.ToString(d.StreamName), ARN: aws.ToString(d.StreamARN), Status: string(d.StreamStatus),
		Mode: mode(d.StreamModeDetails), Distribution: string(d.RecordDistributionStrategy),
		RetentionHours: aws.ToInt32(d.RetentionPeriodHours), MaxRecordKiB: aws.ToInt32(d.MaxRecordSizeInKiB),
		Consumers: aws.ToInt32(d.ConsumerCount), Encryption: string(d.EncryptionType),
		Created: stamp(d.StreamCreationTimestamp), Shards: shards,
	}, nil
}

func viewShard(s types.Shard) (shardView, error) {
	v := shardView{ID: aws.ToString(s.ShardId)}
	for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
		if aws.ToString(p) != "" {
			v.Parents = append(v.Parents, *p)
		}
	}
	if r := s.HashKeyRange; r != nil {
		v.FirstHash, v.LastHash = aws.ToString(r.StartingHashKey), aws.ToString(r.EndingHashKey)
	}
	var err error
	if v.ranges, err = keyspace.ParseRange(v.FirstHash, v.LastHash); err != nil {
		return v, err
	}
	v.Share = v.ranges.Last.Fraction() - v.ranges.First.Fraction()
	v.Open = true
	if r := s.SequenceNumberRange; r != nil {
		v.First, v.Last = aws.ToString(r.StartingSequenceNumber), aws.ToString(r.EndingSequenceNumber)
		v.Open = v.Last == ""
	}
	return v, nil
}

// draw is the stream for people.
func (v *streamView) draw(width int, style terminal.Style) []string {
	open := 0
	var shards []shardtree.Shard
	for _, s := range v.Shards {
		note := fmt.Sprintf("%5.1f %%", 100*s.Share)
		if s.Open {
			open++
		} else {
			note = style.Dim(" closed")
		}
		shards = append(shards, shardtree.Shard{ID: s.ID, Parents: s.Parents, Range: s.ranges, Closed: !s.Open, Note: note})
	}
	status := style.Good(v.Status)
	if v.Status != string(types.StreamStatusActive) {
		status = style.Warn(v.Status)
	}
	facts := []string{status, words(v.Mode), plural(open, "open shard")}
	if n := len(v.Shards) - open; n > 0 {
		facts = append(facts, fmt.Sprintf("%d closed", n))
	}
	facts = append(facts, fmt.Sprintf("%d h retention", v.RetentionHours))
	if v.MaxRecordKiB > 1024 {
		facts = append(facts, fmt.Sprintf("records up to %d KiB", v.MaxRecordKiB))
	}
	if v.Distribution == string(types.RecordDistributionStrategyAuto) {
		facts = append(facts, style.Warn("AUTO distribution: no order"))
	}
	if v.Consumers > 0 {
		facts = append(facts, plural(int(v.Consumers), "fan-out consumer"))
	}
	lines := []string{style.Bold(v.Name) + "  " + strings.Join(facts, ", ")}
	tree, _ := shardtree.Draw(shards, shardtree.Options{Width: min(width, 100), Style: style})
	return append(lines, tree...)
}
