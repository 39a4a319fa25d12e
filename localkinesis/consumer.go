package localkinesis

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/libvegas/vegas/internal/limits"
)

// consumer is a registered enhanced fan-out consumer of a stream.
type consumer struct {
	stream  *stream
	name    string
	arn     string
	created time.Time
	status  string
	due     time.Time // when the passing state ends
	gone    bool      // deregistered; a deleted stream says it for all its consumers
	labels

	// latest is the newest subscription of each shard, running or ended.
	latest map[uint32]*subscription
}

// consumersCreating is how many consumers may be CREATING: "only 5 consumers
// can be created simultaneously", API_RegisterStreamConsumer.
const consumersCreating = 5

// register adds a consumer.
func (st *stream) register(name string, tags map[string]string, now time.Time) (*consumer, *failure) {
	creating := 0
	for _, co := range st.consumers {
		if co.name == name {
			return nil, refuse(codeInUse, "Consumer %s of stream %s under account %s already exists.", name, st.name, st.account.id)
		}
		if co.status == statusCreating {
			creating++
		}
	}
	switch {
	case len(st.consumers) >= limits.ConsumersPerStream:
		return nil, refuse(codeLimit, "Stream %s under account %s already has %d registered consumers.", st.name, st.account.id, len(st.consumers))
	case creating >= consumersCreating && st.account.limits:
		return nil, refuse(codeLimit, "Stream %s under account %s already has %d consumers in state CREATING.", st.name, st.account.id, creating)
	}
	co := &consumer{
		stream: st, name: name, created: now.Truncate(time.Second), status: statusCreating, due: now.Add(st.account.delay),
		labels: labels{tags: map[string]string{}}, latest: map[uint32]*subscription{},
	}
	co.arn = fmt.Sprintf("%s/consumer/%s:%d", st.account.streamARN(st.name), name, co.created.Unix())
	maps.Copy(co.tags, tags)
	st.consumers = append(st.consumers, co)
	st.settleConsumers(now)
	return co, nil
}

// settleConsumers ends the passing states of consumers whose time has come.
func (st *stream) settleConsumers(now time.Time) {
	st.consumers = slices.DeleteFunc(st.consumers, func(co *consumer) bool {
		if co.due.IsZero() || now.Before(co.due) {
			return false
		}
		co.due = time.Time{}
		if co.gone = co.status == statusDeleting; !co.gone {
			co.status = statusActive
		}
		return co.gone
	})
}

var consumerARNOK = regexp.MustCompile(`^(arn):aws.*:kinesis:.*:\d{12}:.*stream/[a-zA-Z0-9_.-]+/consumer/[a-zA-Z0-9_.-]+:[0-9]+$`)

// consumerOf finds a consumer by its ARN.
func (a *account) consumerOf(arn string, now time.Time) (*consumer, *failure) {
	none := refuse(codeNotFound, "Consumer %s under account %s not found.", arn, a.id)
	name, ok := a.nameOfARN(arn)
	if !ok || !strings.Contains(arn, "/consumer/") {
		return nil, none
	}
	st, f := a.find(name, now)
	if f != nil {
		return nil, none
	}
	for _, co := range st.consumers {
		if co.arn == arn {
			return co, nil
		}
	}
	return nil, none
}

// consumerRef is how the consumer operations name a consumer: by its ARN, or by
// its stream and its name.
type consumerRef struct {
	ConsumerARN  string
	ConsumerName string
	StreamARN    string
	StreamId     string
}

func (r *consumerRef) validate(v *violations) {
	v.pattern("consumerARN", r.ConsumerARN, consumerARNOK, `(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+`)
	v.pattern("consumerName", r.ConsumerName, streamNameOK, "[a-zA-Z0-9_.-]+, 1 to 128 characters")
	v.pattern("streamARN", r.StreamARN, streamARNOK, `arn:aws.*:kinesis:.*:\d{12}:stream/\S+`)
}

func (r *consumerRef) address(c *call) (string, []string) {
	name, _ := c.server.account.nameOfARN(r.StreamARN + r.ConsumerARN)
	return name, nil
}

func (r *consumerRef) find(a *account, now time.Time) (*consumer, *failure) {
	if r.ConsumerARN != "" {
		if r.ConsumerName != "" || r.StreamARN != "" {
			co, f := a.consumerOf(r.ConsumerARN, now)
			if f == nil && (r.ConsumerName != "" && r.ConsumerName != co.name || r.StreamARN != "" && r.StreamARN != a.streamARN(co.stream.name)) {
				return nil, refuse(codeArgument, "ConsumerARN, ConsumerName and StreamARN name different consumers.")
			}
			return co, f
		}
		return a.consumerOf(r.ConsumerARN, now)
	}
	if r.ConsumerName == "" || r.StreamARN == "" {
		return nil, refuse(codeArgument, "Either ConsumerARN or both ConsumerName and StreamARN must be specified.")
	}
	st, f := a.byARN(r.StreamARN, now)
	if f != nil {
		return nil, f
	}
	for _, co := range st.consumers {
		if co.name == r.ConsumerName {
			return co, nil
		}
	}
	return nil, refuse(codeNotFound, "Consumer %s of stream %s under account %s not found.", r.ConsumerName, st.name, a.id)
}

// byARN finds a stream by its ARN.
func (a *account) byARN(arn string, now time.Time) (*stream, *failure) {
	name, ok := a.nameOfARN(arn)
	if !ok {
		return nil, refuse(codeNotFound, "%s is not of account %s in %s.", arn, a.id, a.region)
	}
	return a.find(name, now)
}

type consumerOut struct {
	ConsumerName              string
	ConsumerARN               string
	ConsumerStatus            string
	ConsumerCreationTimestamp moment
	StreamARN                 string
}

func (co *consumer) describe() consumerOut {
	return consumerOut{ConsumerName: co.name, ConsumerARN: co.arn, ConsumerStatus: co.status, ConsumerCreationTimestamp: moment{co.created}}
}
