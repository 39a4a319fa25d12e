// What the contest of languages has C++ do. See ../main.go.
#include "bench.h"

#include <chrono>
#include <vector>

#include <vegas.hpp>

using namespace std::chrono_literals;

namespace {

void produce() {
	vegas::ProducerOptions o;
	o.aggregate = aggregated != 0;
	vegas::Producer p(stream, o);
	std::atomic_int refused{0};
	auto send = [&](int from, int to) {
		for (int i = from; i < to; i++) {
			number(i);
			p.send(key(i), std::string_view(payload, static_cast<std::size_t>(size)), [&refused](const vegas::Receipt *, std::exception_ptr e) {
				if (e) refused++;
			});
		}
		p.flush(1h);
	};
	send(0, warm);
	mark("begin");
	send(warm, records);
	mark("end");
	if (refused > 0) failed("produce", "records were refused");
	done("{}");
}

void latency() {
	vegas::ProducerOptions o;
	o.linger = 0s;
	vegas::Producer p(stream, o);
	std::vector<double> micros;
	for (int i = 0; i < records; i++) {
		if (i == warm) mark("begin");
		const double began = now();
		number(i);
		p.send(key(i), std::string_view(payload, static_cast<std::size_t>(size))).get();
		micros.push_back((now() - began) * 1e6);
	}
	done_latency(micros.data());
}

vegas::Consumer consumer(const char *of, const char *as, int count) {
	expect(count);
	vegas::ConsumerOptions o;
	o.store = "memory";
	return vegas::Consumer(of, as, [](const vegas::Record &r) { handle(r.data().data(), r.data().size()); }, o);
}

void consume() {
	{
		auto c = consumer(warm_stream, warm_group, warm);
		wait_for_all();
	}
	mark("begin");
	auto c = consumer(stream, group, records);
	wait_for_all();
	mark("end");
	done(told());
}

void idle() {
	vegas::Producer p(stream);
	auto c = consumer(stream, "idle", 1);
	mark("begin");
	number(0);
	p.send(key(0), std::string_view(payload, static_cast<std::size_t>(size))).get();
	wait_for_all();
	mark("end");
	done(told());
}

} // namespace

int main(int count, char **arguments) {
	if (count != 11) failed("bench", "ten arguments are wanted");
	begin(arguments);
	const std::string what = role;
	try {
		if (what == "produce") produce();
		else if (what == "consume") consume();
		else if (what == "lines") lines();
		else if (what == "latency") latency();
		else if (what == "idle") idle();
		else failed(role, "there is no such role");
	} catch (const std::exception &e) {
		failed(role, e.what());
	}
}
