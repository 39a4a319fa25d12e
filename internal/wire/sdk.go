package wire

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// OfGetRecords is an answer that the SDK has decoded.
func OfGetRecords(out *kinesis.GetRecordsOutput) *Answer {
	return of(out.Records, out.MillisBehindLatest, out.NextShardIterator, out.ChildShards)
}

// OfEvent is an event that the SDK has decoded.
func OfEvent(e *types.SubscribeToShardEvent) *Answer {
	return of(e.Records, e.MillisBehindLatest, e.ContinuationSequenceNumber, e.ChildShards)
}

// OfPutRecords is an answer that the SDK has decoded.
func OfPutRecords(out *kinesis.PutRecordsOutput) *PutAnswer {
	a := &PutAnswer{Results: make([]PutResult, len(out.Records)), Fallback: true}
	for i := range out.Records {
		r := &out.Records[i]
		a.Results[i] = PutResult{
			Shard: aws.ToString(r.ShardId), Sequence: aws.ToString(r.SequenceNumber),
			Code: aws.ToString(r.ErrorCode), Message: aws.ToString(r.ErrorMessage),
		}
	}
	return a
}

func of(records []types.Record, behind *int64, next *string, children []types.ChildShard) *Answer {
	a := &Answer{Behind: Unknown, Next: aws.ToString(next), Fallback: true}
	if behind != nil {
		a.Behind = time.Duration(*behind) * time.Millisecond
	}
	for i := range records {
		r := &records[i]
		a.Records = append(a.Records, Record{
			Sequence: aws.ToString(r.SequenceNumber), Key: aws.ToString(r.PartitionKey), Data: r.Data, Arrival: aws.ToTime(r.ApproximateArrivalTimestamp),
		})
	}
	for _, s := range children {
		c := Child{ID: aws.ToString(s.ShardId), Parents: s.ParentShards}
		if s.HashKeyRange != nil {
			c.First, c.Last = aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey)
		}
		a.Children = append(a.Children, c)
	}
	return a
}
