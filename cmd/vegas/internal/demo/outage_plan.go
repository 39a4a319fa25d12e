package demo

import (
	"fmt"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/shardtree"
	"github.com/libvegas/vegas/localkinesis"
)

// turn is something that happens in an outage.
type turn struct {
	at time.Duration
	do func(*outage) error
}

// outagePlan spreads what happens over the time of sending. A producer that backs
// off needs a second or so until it has noticed that its stream is well again.
func outagePlan(sending time.Duration) []turn {
	var plan []turn
	for _, t := range []struct {
		part float64
		do   func(*outage) error
	}{
		{0.12, func(w *outage) error {
			w.happens(Fault, "the network is gone: connections break, and no new one is made")
			w.begins("no network")
			w.network.setCut(true)
			return nil
		}},
		{0.26, (*outage).kill},
		{0.31, (*outage).restart},
		{0.44, func(w *outage) error {
			w.happens(Add, "the network is back, but Kinesis answers every request with 500")
			w.network.setCut(false)
			w.begins("500s")
			w.inject(localkinesis.Fault{Do: localkinesis.Fail, Op: "PutRecords"})
			return nil
		}},
		{0.54, func(w *outage) error {
			w.happens(Add, "Kinesis works again, throttles half of what is sent, and loses answers")
			w.begins("throttled")
			w.inject(localkinesis.Fault{Do: localkinesis.Throttle, EntryRate: 0.5, Op: "PutRecords"})
			w.inject(localkinesis.Fault{Do: localkinesis.DropAnswer, Rate: 0.1, Op: "PutRecords"})
			return nil
		}},
		{0.64, (*outage).kill},
		{0.68, (*outage).restart},
		{0.74, (*outage).split},
		{0.80, func(w *outage) error { return w.heal() }},
	} {
		plan = append(plan, turn{time.Duration(t.part * float64(sending)), t.do})
	}
	return plan
}

func (w *outage) happens(kind Kind, format string, args ...any) {
	w.tell(Event{Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// begins ends the phase that there is, and begins another one.
func (w *outage) begins(name string) {
	w.ends()
	w.chart.phases = append(w.chart.phases, phase{from: w.now(), name: name})
}

func (w *outage) ends() {
	if n := len(w.chart.phases); n > 0 && w.chart.phases[n-1].to == 0 {
		w.chart.phases[n-1].to = w.now()
	}
	w.healServer()
}

// kill ends the producer's process at once.
func (w *outage) kill() error {
	w.happens(Kill, "kill -9 the producer, process %d", w.process.ID())
	w.chart.marks = append(w.chart.marks, w.now())
	w.process.Kill()
	w.process = nil
	w.kills++
	return nil
}

// restart starts it again, on the same directory.
func (w *outage) restart() error {
	left := max(w.auditor.Sent().Acknowledged-w.got.Live().Delivered, 0)
	if err := w.start(); err != nil {
		return err
	}
	w.happens(Add, "start it again, process %d, on the same directory: a backlog of %s", w.process.ID(), plural(int(left), "record"))
	return nil
}

func (w *outage) split() error {
	id := "shardId-000000000000"
	w.happens(Split, "split shard %s", shardtree.Short(id))
	_, _, err := w.server.Split(Stream, id, "")
	return err
}

// heal ends what is wrong.
func (w *outage) heal() error {
	if n := len(w.chart.phases); n > 0 && w.chart.phases[n-1].to == 0 {
		w.happens(Add, "Kinesis is well")
	}
	w.ends()
	w.network.setCut(false)
	if w.process == nil {
		return w.restart()
	}
	return nil
}
