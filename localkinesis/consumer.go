package localkinesis

import (
	"slices"
	"time"
)

// consumer is a registered enhanced fan-out consumer of a stream.
type consumer struct {
	stream  *stream
	name    string
	arn     string
	created time.Time
	status  string
	due     time.Time // when the passing state ends
	tags    map[string]string
	gone    bool
}

// settleConsumers ends the passing states of consumers whose time has come.
func (st *stream) settleConsumers(now time.Time) {
	st.consumers = slices.DeleteFunc(st.consumers, func(c *consumer) bool {
		if c.due.IsZero() || now.Before(c.due) {
			return false
		}
		c.due = time.Time{}
		if c.gone = c.status == statusDeleting; !c.gone {
			c.status = statusActive
		}
		return c.gone
	})
}
