package localkinesis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/localkinesis"
)

func TestConsumers(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		st, _ := srv.Stream("orders")
		add := func(name string) error {
			_, err := c.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: &st.ARN, ConsumerName: &name, Tags: map[string]string{"for": name}})
			time.Sleep(time.Second)
			return err
		}
		for i := range 20 {
			expect(t, "one of twenty", add(fmt.Sprintf("c%02d", i)), "")
		}
		expect(t, "the same name", add("c00"), "ResourceInUseException")
		expect(t, "a twenty-first", add("c20"), "LimitExceededException")
		list, err := c.ListStreamConsumers(t.Context(), &kinesis.ListStreamConsumersInput{StreamARN: &st.ARN, MaxResults: aws.Int32(15)})
		if err != nil || len(list.Consumers) != 15 {
			t.Fatalf("%+v, %v", list, err)
		}
		list, err = c.ListStreamConsumers(t.Context(), &kinesis.ListStreamConsumersInput{StreamARN: &st.ARN, NextToken: list.NextToken})
		if err != nil || len(list.Consumers) != 5 || *list.Consumers[0].ConsumerName != "c15" || list.NextToken != nil {
			t.Fatalf("%+v, %v", list, err)
		}
		d, err := c.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{StreamARN: &st.ARN, ConsumerName: aws.String("c15")})
		if err != nil || *d.ConsumerDescription.ConsumerARN != *list.Consumers[0].ConsumerARN || d.ConsumerDescription.ConsumerStatus != "ACTIVE" {
			t.Errorf("%+v, %v", d, err)
		}
		tags, err := c.ListTagsForResource(t.Context(), &kinesis.ListTagsForResourceInput{ResourceARN: list.Consumers[0].ConsumerARN})
		if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "c15" {
			t.Errorf("%+v, %v", tags, err)
		}
		_, err = c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: orders})
		expect(t, "delete a stream with consumers", err, "ResourceInUseException")
		_, err = c.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: list.Consumers[0].ConsumerARN})
		expect(t, "deregister", err, "")
		_, err = c.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: list.Consumers[0].ConsumerARN})
		expect(t, "describe a deregistered one", err, "ResourceNotFoundException")
		_, err = c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: orders, EnforceConsumerDeletion: aws.Bool(true)})
		expect(t, "delete by force", err, "")
	})
}

// TestKept: what is set is given back.
func TestKept(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		st, _ := srv.Stream("orders")
		ctx := t.Context()
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		_, err := c.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: orders, Tags: map[string]string{"a": "1", "b": "2", "c": ""}})
		check(err)
		_, err = c.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: orders, TagKeys: []string{"a", "z"}})
		check(err)
		_, err = c.TagResource(ctx, &kinesis.TagResourceInput{ResourceARN: &st.ARN, Tags: map[string]string{"d": "4"}})
		check(err)
		_, err = c.UntagResource(ctx, &kinesis.UntagResourceInput{ResourceARN: &st.ARN, TagKeys: []string{"c"}})
		check(err)
		tags, err := c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: orders, Limit: aws.Int32(1)})
		if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "b" || !*tags.HasMoreTags {
			t.Errorf("tags are %+v, %v", tags, err)
		}
		tags, err = c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: orders, ExclusiveStartTagKey: aws.String("b")})
		if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "4" || *tags.HasMoreTags {
			t.Errorf("tags are %+v, %v", tags, err)
		}
		many := map[string]string{}
		for i := range 49 {
			many[fmt.Sprint(i)] = ""
		}
		_, err = c.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: orders, Tags: many})
		expect(t, "51 tags", err, "InvalidArgumentException")

		_, err = c.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamName: orders, EncryptionType: "KMS", KeyId: aws.String("alias/aws/kinesis")})
		check(err)
		if out := put(t, c, "a", "x"); out.EncryptionType != "KMS" {
			t.Errorf("put says %+v", out)
		}
		if out := get(t, c, iterate(t, c, first, "TRIM_HORIZON")); out.Records[0].EncryptionType != "KMS" {
			t.Errorf("get says %+v", out.Records[0])
		}
		_, err = c.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: orders, ShardLevelMetrics: []types.MetricsName{"ALL"}})
		check(err)
		m, err := c.DisableEnhancedMonitoring(ctx, &kinesis.DisableEnhancedMonitoringInput{StreamName: orders, ShardLevelMetrics: []types.MetricsName{"IncomingBytes"}})
		if err != nil || len(m.CurrentShardLevelMetrics) != 7 || len(m.DesiredShardLevelMetrics) != 6 {
			t.Errorf("metrics are %+v, %v", m, err)
		}
		d, err := c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamARN: &st.ARN})
		if err != nil || d.StreamDescription.EncryptionType != "KMS" || *d.StreamDescription.KeyId != "alias/aws/kinesis" || len(d.StreamDescription.EnhancedMonitoring[0].ShardLevelMetrics) != 6 {
			t.Errorf("description is %+v, %v", d, err)
		}
		_, err = c.StopStreamEncryption(ctx, &kinesis.StopStreamEncryptionInput{StreamName: orders, EncryptionType: "KMS", KeyId: aws.String("alias/aws/kinesis")})
		check(err)

		_, err = c.GetResourcePolicy(ctx, &kinesis.GetResourcePolicyInput{ResourceARN: &st.ARN})
		expect(t, "no policy yet", err, "ResourceNotFoundException")
		_, err = c.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: &st.ARN, Policy: aws.String(`{"Version":"2012-10-17"}`)})
		check(err)
		policy, err := c.GetResourcePolicy(ctx, &kinesis.GetResourcePolicyInput{ResourceARN: &st.ARN})
		if err != nil || *policy.Policy != `{"Version":"2012-10-17"}` {
			t.Errorf("policy is %+v, %v", policy, err)
		}
		_, err = c.DeleteResourcePolicy(ctx, &kinesis.DeleteResourcePolicyInput{ResourceARN: &st.ARN})
		check(err)
		_, err = c.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: &st.ARN, Policy: aws.String("{}")})
		check(err)
		check(errors.Join(srv.DeleteStream("orders"), srv.CreateStream("orders", 1)))
		_, err = c.GetResourcePolicy(ctx, &kinesis.GetResourcePolicyInput{ResourceARN: &st.ARN})
		expect(t, "the policy of an earlier stream", err, "ResourceNotFoundException")

		warm := &kinesis.UpdateStreamWarmThroughputInput{StreamARN: &st.ARN, WarmThroughputMiBps: aws.Int32(100)}
		_, err = c.UpdateStreamWarmThroughput(ctx, warm)
		expect(t, "warm a provisioned stream", err, "ValidationException")
		_, err = c.UpdateStreamMode(ctx, &kinesis.UpdateStreamModeInput{StreamARN: &st.ARN, StreamModeDetails: &types.StreamModeDetails{StreamMode: "ON_DEMAND"}})
		check(err)
		_, err = c.UpdateStreamWarmThroughput(ctx, warm)
		expect(t, "warm without a commitment", err, "ValidationException")
		commit := func(s types.MinimumThroughputBillingCommitmentInputStatus) string {
			t.Helper()
			out, err := c.UpdateAccountSettings(ctx, &kinesis.UpdateAccountSettingsInput{MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{Status: s}})
			check(err)
			return string(out.MinimumThroughputBillingCommitment.Status)
		}
		if got := commit("ENABLED"); got != "ENABLED" {
			t.Errorf("commitment is %s", got)
		}
		_, err = c.UpdateStreamWarmThroughput(ctx, warm)
		check(err)
		if got := commit("DISABLED"); got != "ENABLED_UNTIL_EARLIEST_ALLOWED_END" {
			t.Errorf("commitment is %s", got)
		}
		time.Sleep(24 * time.Hour)
		settings, err := c.DescribeAccountSettings(ctx, &kinesis.DescribeAccountSettingsInput{})
		if err != nil || settings.MinimumThroughputBillingCommitment.Status != "DISABLED" {
			t.Errorf("settings are %+v, %v", settings, err)
		}
		limits, err := c.DescribeLimits(ctx, &kinesis.DescribeLimitsInput{})
		if err != nil || *limits.OpenShardCount != 1 || *limits.OnDemandStreamCount != 1 {
			t.Errorf("limits are %+v, %v", limits, err)
		}
		_, err = c.ListChannels(ctx, &kinesis.ListChannelsInput{})
		if code(err) != "UnknownOperationException" || !strings.Contains(err.Error(), "ListChannels") {
			t.Errorf("channels: %v", err)
		}
	})
}

func TestCreateStreamIsChecked(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		create := func(in kinesis.CreateStreamInput) error {
			_, err := c.CreateStream(t.Context(), &in)
			time.Sleep(200 * time.Millisecond)
			return err
		}
		onDemand := &types.StreamModeDetails{StreamMode: "ON_DEMAND"}
		for want, in := range map[string]kinesis.CreateStreamInput{
			"ResourceInUseException":            {StreamName: orders, ShardCount: aws.Int32(1)},
			"ValidationException bad name":      {StreamName: aws.String("no spaces"), ShardCount: aws.Int32(1)},
			"ValidationException long name":     {StreamName: aws.String(strings.Repeat("x", 129)), ShardCount: aws.Int32(1)},
			"ValidationException no shards":     {StreamName: aws.String("a")},
			"ValidationException zero shards":   {StreamName: aws.String("a"), ShardCount: aws.Int32(0)},
			"ValidationException both":          {StreamName: aws.String("a"), ShardCount: aws.Int32(1), StreamModeDetails: onDemand},
			"ValidationException small records": {StreamName: aws.String("a"), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(1)},
			"ValidationException warm":          {StreamName: aws.String("a"), StreamModeDetails: onDemand, WarmThroughputMiBps: aws.Int32(10)},
			"InvalidArgumentException auto":     {StreamName: aws.String("a"), ShardCount: aws.Int32(1), RecordDistributionStrategy: "AUTO"},
		} {
			expect(t, want, create(in), strings.Fields(want)[0])
		}
		expect(t, "on demand", create(kinesis.CreateStreamInput{StreamName: aws.String("auto"), StreamModeDetails: onDemand, RecordDistributionStrategy: "AUTO", MaxRecordSizeInKiB: aws.Int32(2048), Tags: map[string]string{"a": "b"}}), "")
		st, err := srv.Stream("auto")
		if err != nil || len(st.Shards) != 4 || !st.Auto || !st.OnDemand {
			t.Errorf("stream is %+v, %v", st, err)
		}
		list, err := c.ListStreams(t.Context(), &kinesis.ListStreamsInput{Limit: aws.Int32(1)})
		if err != nil || fmt.Sprint(list.StreamNames) != "[auto]" || !*list.HasMoreStreams {
			t.Errorf("streams are %+v, %v", list, err)
		}
		list, err = c.ListStreams(t.Context(), &kinesis.ListStreamsInput{NextToken: list.NextToken})
		if err != nil || fmt.Sprint(list.StreamNames) != "[orders]" || *list.HasMoreStreams {
			t.Errorf("streams are %+v, %v", list, err)
		}
	})
}
