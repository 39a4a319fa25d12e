// The C++ header over the engine and its local Kinesis.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>
#include <thread>
#include <unistd.h>
#ifndef _WIN32
#include <sys/wait.h>
#endif

#include <vegas.hpp>

using namespace std::chrono_literals;

#define CHECK(is)                                                              \
	do {                                                                       \
		if (!(is)) {                                                           \
			std::cerr << __FILE__ << ":" << __LINE__ << ": not so: " #is "\n"; \
			std::abort();                                                      \
		}                                                                      \
	} while (0)

template <class E, class Call> void throws(const std::string &says, const Call &call) {
	try {
		call();
	} catch (const E &e) {
		if (std::string(e.what()).find(says) == std::string::npos) {
			std::cerr << "\"" << e.what() << "\" does not say \"" << says << "\"\n";
			std::abort();
		}
		return;
	} catch (const std::exception &e) {
		std::cerr << "thrown was: " << e.what() << "\n";
	}
	std::cerr << "wanted was one that says \"" << says << "\"\n";
	std::abort();
}

static std::string endpoint;

static vegas::ProducerOptions sending() {
	vegas::ProducerOptions o;
	o.endpoint = endpoint;
	return o;
}

static vegas::ConsumerOptions fast() {
	vegas::ConsumerOptions o;
	o.endpoint = endpoint;
	o.poll_idle = 50ms;
	o.poll_busy = 20ms;
	o.checkpoint_every = 100ms;
	return o;
}

/// Waits for what other threads do.
class Box {
public:
	void put(const std::string &what) {
		std::lock_guard<std::mutex> hold(lock_);
		all_.push_back(what);
		changed_.notify_all();
	}
	std::vector<std::string> wait(std::size_t n) {
		std::unique_lock<std::mutex> hold(lock_);
		CHECK(changed_.wait_for(hold, 60s, [&] { return all_.size() >= n; }));
		return all_;
	}

private:
	std::mutex lock_;
	std::condition_variable changed_;
	std::vector<std::string> all_;
};

/// What was logged.
static Box lines;

static int logged(const std::string &says) {
	int n = 0;
	for (const auto &line : lines.wait(0)) n += line.find(says) != std::string::npos;
	return n;
}

static void records() {
	Box box;
	vegas::Consumer c(
	    "records", "g",
	    [&](const vegas::Record &r) {
		    CHECK(r.stream() == "records" && r.attempt() == 1 && r.shard().possession() > 0 && r.stopping() == VEGAS_STOP_NONE);
		    CHECK(std::chrono::abs(std::chrono::system_clock::now() - r.arrival_time()) < 1min);
		    std::string headers;
		    for (const auto &h : r.headers()) headers += std::string(h.name) + "=" + std::string(h.value) + ",";
		    CHECK(headers.empty() || r.header("a") == "1");
		    CHECK(!r.header("none"));
		    box.put(std::string(r.partition_key()) + ":" + std::string(r.data()) + ":" + headers);
	    },
	    fast());
	vegas::Producer p("records", sending());
	p.check();
	c.check();
	auto first = p.send("k", "data");
	vegas::Extras extras;
	extras.headers = {{"a", "1"}, {"a", "2"}};
	extras.hash_key = "1";
	auto second = p.send("ü", "", extras);
	CHECK(first.get().sequence.size() > 40 && !first.get().durable);
	CHECK(second.wait_for(10s) && second.get().shard == "shardId-000000000000");
	Box told;
	p.send("k", "called", [&](const vegas::Receipt *at, std::exception_ptr error) {
		CHECK(at != nullptr && !error);
		told.put(at->shard);
	});
	p.post("k", "posted");
	p.flush();
	told.wait(1);
	auto got = box.wait(4);
	std::set<std::string> all(got.begin(), got.end());
	CHECK((all == std::set<std::string>{"k:data:", "ü::a=1,a=2,", "k:called:", "k:posted:"}));
	CHECK(p.stats().front() == '{' && c.stats().front() == '{');
	vegas::Producer moved(std::move(p));
	moved.post("k", "moved");
	moved.close();
	throws<vegas::ClosedError>("closed", [&] { moved.post("k", "x"); });
	box.wait(5);
	c.close();
	CHECK(c.wait());
}

static void failures() {
	vegas::Producer p("records", sending());
	const std::string large(2 << 20, 'x');
	auto sent = p.send("k", large);
	throws<vegas::TooLargeError>("", [&] { sent.get(); });
	p.flush(); // somebody has looked
	CHECK(logged("a record failed") == 0);
	p.send("k", large);
	throws<vegas::TooLargeError>("", [&] { p.flush(); });
	CHECK(logged("stream \"records\": a record failed") == 1);
	for (int i = 0; i < 3; i++) p.post("k", large);
	throws<vegas::TooLargeError>("3 records failed, the first: ", [&] { p.flush(); });
	std::vector<vegas::Sent> kept;
	for (int i = 0; i < 2; i++) kept.push_back(p.send("k", large));
	throws<vegas::TooLargeError>("2 records failed, the first: ", [&] { p.close(); });
	vegas::Producer q("records", sending());
	const int before = logged("a record failed");
	q.post("k", large);
	throws<vegas::TooLargeError>("", [&] { q.flush(); });
	CHECK(logged("a record failed") == before + 1);
	q.send("k", "x", [](const vegas::Receipt *, std::exception_ptr) { throw std::runtime_error("not my day"); });
	q.flush();
	CHECK(logged("the function of a result has thrown: not my day") == 1);
	throws<vegas::BadOptionError>("0 characters", [&] { vegas::Producer("records", sending()).send("", "x"); });
	throws<vegas::NotFoundError>("no-such-stream", [] { vegas::Producer("no-such-stream", sending()).check(); });
	auto o = fast();
	o.on_error = "never";
	throws<vegas::BadOptionError>("hold skip stop", [&] { vegas::Consumer("records", "g", o); });
}

static void policies() {
	Box box, dead, stats;
	auto o = fast();
	o.max_attempts = 2;
	o.stats_every = 100ms;
	o.dead_letter = [&](const vegas::Record &r, std::string_view error) { dead.put(std::string(r.data()) + ":" + std::string(error)); };
	o.on_stats = [&](std::string_view json) {
		stats.put(std::string(json));
		throw 1;
	};
	vegas::Consumer c(
	    "policies", "g",
	    [&](const vegas::Record &r) {
		    if (r.data() == "bad") throw std::runtime_error("no good");
		    box.put(std::string(r.data()));
	    },
	    o);
	vegas::Producer p("policies", sending());
	for (auto data : {"1", "bad", "2"}) p.post("k", data);
	p.close();
	CHECK((box.wait(2) == std::vector<std::string>{"1", "2"}));
	CHECK(dead.wait(1)[0].find("no good") != std::string::npos);
	CHECK(stats.wait(2)[0].front() == '{' && logged("on_stats has thrown") > 0);
}

static void batches() {
	std::mutex lock;
	std::map<std::string, int> next;
	Box done;
	int count = 0;
	const int n = 20000;
	vegas::Producer p("batches", sending());
	for (int i = 0; i < n; i++) p.post(std::to_string(i % 100), std::to_string(i / 100));
	p.flush();
	vegas::Consumer c(
	    "batches", "g",
	    [&](const vegas::Records &all) {
		    std::lock_guard<std::mutex> hold(lock);
		    for (const auto &r : all) {
			    CHECK(std::to_string(next[std::string(r.partition_key())]++) == r.data());
			    count++;
		    }
		    if (count == n) done.put("all");
	    },
	    fast());
	done.wait(1);
}

static void polled() {
	vegas::Producer p("polled", sending());
	for (int i = 0; i < 10; i++) p.post("k", std::to_string(i));
	p.close();
	auto o = fast();
	o.checkpoint = "manual";
	int want = 0;
	for (int end : {6, 10}) {
		vegas::Consumer c("polled", "g", o);
		while (want < end) {
			auto chunk = c.poll();
			CHECK(chunk && chunk->behind() >= 0ms);
			for (std::size_t i = 0; i < chunk->records().size() && want < end; i++) {
				auto r = chunk->records()[i];
				CHECK(r.data() == std::to_string(want++));
				if (want == end) c.checkpoint(r);
				chunk->done(i);
			}
		}
		if (end == 10) CHECK(!c.poll(10ms)); // before, what was not begun comes again
		c.close();
		throws<vegas::ClosedError>("closed", [&] { c.poll(); });
	}
}

static void positions() {
	Box box;
	auto o = fast();
	o.store = "memory";
	o.external = [&](const vegas::Shard &s) -> std::optional<vegas::Position> {
		box.put(s.start().sequence);
		return std::nullopt;
	};
	vegas::Consumer c("policies", "g", [&](const vegas::Record &r) { box.put(std::string(r.data())); }, o);
	CHECK(box.wait(2)[0] == "TRIM_HORIZON");
	c.close();
}

/// What a handler needs outlives a consumer that did not wait for it any longer.
static void grace() {
	Box began, open, ended;
	auto o = fast();
	o.store = "memory";
	o.grace = 50ms;
	{
		vegas::Consumer c(
		    "policies", "g",
		    [&, mine = std::string(100, 'x')](const vegas::Record &) {
			    began.put("");
			    open.wait(1);
			    ended.put(mine);
		    },
		    o);
		began.wait(1);
		CHECK(!c.close());
		throws<vegas::GraceOverError>("shardId-000000000000 (unfinished records: ", [&] { c.wait(); });
	}
	open.put("");
	CHECK(ended.wait(1)[0] == std::string(100, 'x'));
}

#ifndef _WIN32
/// In a child everything fails at once, and destructors return.
static void forks() {
	auto slow = sending();
	slow.linger = 5s;
	vegas::Producer p("records", slow);
	vegas::Sent sent = p.send("k", "x");
	auto o = fast();
	o.store = "memory";
	vegas::Consumer c("records", "forks", [](const vegas::Record &) {}, o);
	std::thread waits([&] { sent.get(); }); // what it waits for cannot be destroyed in the child
	std::this_thread::sleep_for(100ms);
	const pid_t child = fork();
	if (child == 0) {
		alarm(10);
		throws<vegas::EngineGoneError>("child of a fork", [&] { sent.get(); });
		throws<vegas::EngineGoneError>("child of a fork", [&] { sent.wait_for(1s); });
		throws<vegas::EngineGoneError>("child of a fork", [&] { p.send("k", "x"); });
		throws<vegas::EngineGoneError>("child of a fork", [&] { p.flush(); });
		throws<vegas::EngineGoneError>("child of a fork", [&] { c.wait(); });
		throws<vegas::EngineGoneError>("child of a fork", [&] { vegas::Producer("records", sending()); });
		{
			vegas::Sent first(std::move(sent));
			vegas::Producer second(std::move(p));
			vegas::Consumer third(std::move(c));
		}
		std::exit(0);
	}
	int status = 0;
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	p.flush();
	waits.join();
}
#endif

// Runs the sample, which SAMPLE names, with the local Kinesis in its environment; Enter stops it.
static void sample(const vegas::LocalKinesis &k) {
	const char *path = std::getenv("SAMPLE");
	if (path == nullptr) {
		return;
	}
	std::array<int, 2> in{};
	CHECK(pipe(in.data()) == 0);
	std::string command = "exec env";
	for (const auto &v : k.environment()) command += " '" + v + "'";
	command += " '" + std::string(path) + "' </dev/fd/" + std::to_string(in[0]);
	FILE *out = popen(command.c_str(), "r");
	CHECK(out != nullptr);
	std::set<std::string> said;
	std::array<char, 200> line{};
	while (said.size() < 2 && std::fgets(line.data(), line.size(), out) != nullptr) said.insert(line.data());
	CHECK((said == std::set<std::string>{"Consumer is running. Press Enter to stop\n", "partition-key:message\n"}));
	CHECK(write(in[1], "\n", 1) == 1);
	CHECK(pclose(out) == 0);
	close(in[0]);
	close(in[1]);
}

int main() {
	vegas_log_to(VEGAS_WARN, [](void *, vegas_level, const char *text) { lines.put(text); }, nullptr);
	vegas::LocalKinesis k({{"records", 2}, {"policies", 1}, {"batches", 4}, {"polled", 1}, {"stream-name", 1}}, "\"no_limits\": true");
	endpoint = k.endpoint();
	CHECK(k.environment().size() >= 4);
	records();
	failures();
	policies();
	batches();
	polled();
	positions();
	grace();
#ifndef _WIN32
	forks();
#endif
	sample(k);
	std::cout << "C++: all is well" << std::endl;
}
