// Does what scenarios say, with the C++ header over the C library. See ../README.md.

#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>
#include <vegas.hpp>

// ---- JSON, as far as commands need it

struct Json {
	enum { nothing, flag, number, text, list, map } kind = nothing;
	bool is = false;
	double n = 0;
	std::string s;
	std::string raw; // as it stood there
	std::vector<Json> items;
	std::map<std::string, Json> of;

	const Json &operator[](const std::string &name) const {
		static const Json none;
		auto at = of.find(name);
		return at == of.end() ? none : at->second;
	}
	bool has(const std::string &name) const { return of.count(name) > 0 && of.at(name).kind != nothing; }
	long whole(long otherwise = 0) const { return kind == number ? static_cast<long>(n) : otherwise; }
};

class Parser {
public:
	explicit Parser(const std::string &text) : text_(text) {}

	Json value() {
		blanks();
		Json v;
		const std::size_t start = at_;
		switch (text_.at(at_)) {
		case '{':
			v.kind = Json::map;
			at_++;
			for (blanks(); text_.at(at_) != '}'; comma()) {
				blanks();
				std::string name = quoted();
				blanks();
				at_++; // the colon
				v.of[name] = value();
			}
			at_++;
			break;
		case '[':
			v.kind = Json::list;
			at_++;
			for (blanks(); text_.at(at_) != ']'; comma()) v.items.push_back(value());
			at_++;
			break;
		case '"':
			v.kind = Json::text;
			v.s = quoted();
			break;
		case 't':
		case 'f':
			v.kind = Json::flag;
			v.is = text_[at_] == 't';
			at_ += v.is ? 4 : 5;
			break;
		case 'n':
			at_ += 4;
			break;
		default:
			std::size_t used = 0;
			v.kind = Json::number;
			v.n = std::stod(text_.substr(at_), &used);
			at_ += used;
		}
		v.raw = text_.substr(start, at_ - start);
		return v;
	}

private:
	void blanks() {
		while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) at_++;
	}
	void comma() {
		blanks();
		if (text_.at(at_) == ',') at_++;
		blanks();
	}
	unsigned hex() {
		unsigned n = static_cast<unsigned>(std::stoul(text_.substr(at_, 4), nullptr, 16));
		at_ += 4;
		return n;
	}
	std::string quoted() {
		std::string s;
		for (at_++; text_.at(at_) != '"';) {
			char c = text_[at_++];
			if (c != '\\') {
				s += c;
				continue;
			}
			c = text_.at(at_++);
			switch (c) {
			case 'n': s += '\n'; break;
			case 't': s += '\t'; break;
			case 'r': s += '\r'; break;
			case 'b': s += '\b'; break;
			case 'f': s += '\f'; break;
			case 'u': {
				unsigned point = hex();
				if (point >= 0xd800 && point < 0xdc00) {
					at_ += 2;
					point = 0x10000 + ((point - 0xd800) << 10) + (hex() - 0xdc00);
				}
				put(s, point);
				break;
			}
			default: s += c;
			}
		}
		at_++;
		return s;
	}
	static void put(std::string &s, unsigned c) {
		auto more = [&](unsigned shift) { s += static_cast<char>(0x80 | (c >> shift & 0x3f)); };
		if (c < 0x80) {
			s += static_cast<char>(c);
		} else if (c < 0x800) {
			s += static_cast<char>(0xc0 | c >> 6);
			more(0);
		} else if (c < 0x10000) {
			s += static_cast<char>(0xe0 | c >> 12);
			more(6), more(0);
		} else {
			s += static_cast<char>(0xf0 | c >> 18);
			more(12), more(6), more(0);
		}
	}

	const std::string &text_;
	std::size_t at_ = 0;
};

static std::string quote(std::string_view text) {
	std::string s = "\"";
	for (char c : text) {
		if (c == '"' || c == '\\') {
			s += '\\';
			s += c;
		} else if (static_cast<unsigned char>(c) < ' ') {
			char code[8];
			std::snprintf(code, sizeof code, "\\u%04x", c);
			s += code;
		} else {
			s += c;
		}
	}
	return s + '"';
}

static void say(const std::string &members) {
	std::string line = "{" + members + "}\n";
	for (const char *at = line.data(), *end = at + line.size(); at < end;) {
		ssize_t n = write(1, at, static_cast<std::size_t>(end - at));
		if (n <= 0) return;
		at += n;
	}
}

static void say_locked(const std::string &members) {
	static std::mutex &lock = *new std::mutex; // for threads that outlive main
	std::lock_guard<std::mutex> hold(lock);
	say(members);
}

static std::string error_of(const std::exception_ptr &e) {
	try {
		std::rethrow_exception(e);
	} catch (const vegas::Error &v) {
		return std::string("{\"code\":\"") + vegas_code_name(v.code()) + "\",\"text\":" + quote(v.text()) + ",\"remedy\":" + quote(v.remedy()) +
		       ",\"unknown\":" + (v.unknown() ? "true" : "false") + "}";
	} catch (const std::exception &other) {
		return "{\"code\":\"own\",\"text\":" + quote(other.what()) + "}";
	}
}

static std::uint32_t crc32(std::string_view data) {
	std::uint32_t crc = ~0u;
	for (unsigned char c : data) {
		crc ^= c;
		for (int i = 0; i < 8; i++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

// ---- What there is

struct State {
	std::mutex lock;
	std::condition_variable changed;
	bool free = false;
	std::map<std::string, vegas::Mark> kept;
	long handled = 0;
	std::shared_ptr<vegas::Consumer> consumer;
};

struct Things {
	std::mutex lock;
	std::map<std::string, std::shared_ptr<vegas::Producer>> producers;
	std::map<std::string, std::shared_ptr<State>> consumers;
	std::map<std::string, std::shared_ptr<vegas::LocalKinesis>> locals;
	std::map<std::string, vegas::Position> positions; // of what was handled, by shard
};

static Things &things = *new Things; // what is left open, the exit closes

static std::shared_ptr<vegas::Producer> producer(const std::string &name) {
	std::lock_guard<std::mutex> hold(things.lock);
	auto p = things.producers[name];
	if (!p) throw std::runtime_error("there is no producer " + name);
	return p;
}

static std::shared_ptr<State> state(const std::string &name) {
	std::lock_guard<std::mutex> hold(things.lock);
	auto s = things.consumers[name];
	if (!s) throw std::runtime_error("there is no consumer " + name);
	return s;
}

static bool is_producer(const std::string &name) {
	std::lock_guard<std::mutex> hold(things.lock);
	return things.producers.count(name) > 0;
}

/// Options by name; true where one of the type function is among them.
template <class Options> bool read_options(const Json &given, Options &o, const std::string &function) {
	bool has = false;
	for (const Json &one : given.items) {
		const std::string &name = one["name"].s;
		if (one["type"].s == "function") {
			has |= name == function;
			continue;
		}
		const Json &value = one["value"];
		o.by_name[name] = value.kind == Json::text ? value.s : value.raw;
	}
	return has;
}

static vegas::Timeout limit(const Json &cmd) {
	return cmd.has("limit") ? vegas::Timeout(cmd["limit"].whole()) : vegas::forever;
}

// ---- Producers

static std::string payload(const Json &record) {
	if (record.has("data")) return record["data"].s;
	std::string s;
	for (long i = 0; i < record["size"].whole(); i++) s += static_cast<char>(i % 251);
	return s;
}

static std::string receipt_of(const vegas::Receipt &at) {
	return "{\"shard\":" + quote(at.shard) + ",\"sequence\":" + quote(at.sequence) + ",\"sub\":" + std::to_string(at.sub_sequence) +
	       ",\"durable\":" + (at.durable ? "true" : "false") + "}";
}

static std::string do_send(const Json &cmd) {
	auto p = producer(cmd["to"].s);
	std::vector<std::optional<vegas::Sent>> sent;
	std::vector<std::exception_ptr> refused;
	for (const Json &r : cmd["records"].items) {
		vegas::Extras extras;
		for (const Json &h : r["headers"].items) extras.headers.push_back({h.items.at(0).s, h.items.at(1).s});
		extras.hash_key = r["hash_key"].s;
		sent.emplace_back();
		refused.emplace_back();
		try {
			sent.back() = p->send(r["key"].s, payload(r), extras);
		} catch (...) {
			refused.back() = std::current_exception();
		}
	}
	if (cmd.has("wait") && !cmd["wait"].is) return "";
	std::string results;
	for (std::size_t i = 0; i < sent.size(); i++) {
		if (i > 0) results += ",";
		try {
			if (refused[i]) std::rethrow_exception(refused[i]);
			results += receipt_of(sent[i]->get());
		} catch (...) {
			results += "{\"error\":" + error_of(std::current_exception()) + "}";
		}
	}
	return "\"results\":[" + results + "]";
}

static std::string do_many(const Json &cmd) {
	struct Shared {
		std::mutex lock;
		std::condition_variable changed;
		long open = 0, ok = 0;
		std::string failed;
	};
	auto shared = std::make_shared<Shared>();
	auto p = producer(cmd["to"].s);
	const long keys = cmd["keys"].whole(1), from = cmd["from"].whole(), count = cmd["count"].whole();
	const std::string &prefix = cmd["prefix"].s, of = cmd["to"].s;
	const bool wait = !cmd.has("wait") || cmd["wait"].is, tell = cmd["tell"].is;
	for (long n = from; n < from + count; n++) {
		std::string key = prefix + "key-" + std::to_string(n % keys), data = prefix + std::to_string(n);
		if (data.size() < static_cast<std::size_t>(cmd["size"].whole())) data.resize(static_cast<std::size_t>(cmd["size"].whole()), '.');
		if (!wait && !tell) {
			p->post(key, data);
			continue;
		}
		{
			std::lock_guard<std::mutex> hold(shared->lock);
			shared->open++;
		}
		p->send(key, data, [shared, n, tell, of](const vegas::Receipt *, std::exception_ptr error) {
			std::string is = error ? error_of(error) : "";
			if (tell) {
				say_locked("\"event\":\"sent\",\"of\":" + quote(of) + ",\"number\":" + std::to_string(n) + (error ? ",\"error\":" + is : ""));
			}
			std::lock_guard<std::mutex> hold(shared->lock);
			shared->open--;
			if (error) {
				shared->failed += (shared->failed.empty() ? "" : ",") + std::string("{\"number\":") + std::to_string(n) + ",\"error\":" + is + "}";
			} else {
				shared->ok++;
			}
			shared->changed.notify_all();
		});
	}
	if (!wait) return "";
	std::unique_lock<std::mutex> hold(shared->lock);
	shared->changed.wait(hold, [&] { return shared->open == 0; });
	return "\"ok\":" + std::to_string(shared->ok) + ",\"failed\":[" + shared->failed + "]";
}

/// What a child's calls throw, which it tells; its destructors return, too.
[[noreturn]] static void in_child(std::shared_ptr<vegas::Producer> p, const Json &cmd, int to) {
	alarm(10);
	auto error = [](const auto &call) -> std::string {
		try {
			call();
			return "";
		} catch (...) {
			return error_of(std::current_exception());
		}
	};
	const std::string sent = error([&] { for (const Json &r : cmd["records"].items) p->send(r["key"].s, payload(r)); });
	const std::string closed = error([&] { p->close(); });
	p.reset();
	things.producers.clear();
	things.consumers.clear();
	std::exit(write(to, sent.data(), sent.size()) == static_cast<ssize_t>(sent.size()) && sent == closed ? 0 : 1);
}

static std::string do_fork(const Json &cmd) {
	auto p = producer(cmd["to"].s);
	std::array<int, 2> pipes{};
	if (pipe(pipes.data()) != 0) throw std::runtime_error("there is no pipe");
	const pid_t child = fork();
	if (child == 0) in_child(std::move(p), cmd, pipes[1]);
	close(pipes[1]);
	std::string said(4096, 0);
	const ssize_t n = read(pipes[0], said.data(), said.size());
	close(pipes[0]);
	int status = 0;
	if (child < 0 || waitpid(child, &status, 0) != child || n < 0 || status != 0) throw std::runtime_error("the child has failed");
	said.resize(static_cast<std::size_t>(n));
	return said.empty() ? "\"status\":0" : "\"error\":" + said;
}

// ---- Consumers

static std::string printable(std::string_view data) {
	std::string s(data.substr(0, 1024));
	for (char &c : s) {
		if (c < ' ' || c > '~') c = '?';
	}
	return s;
}

static void tell(const std::string &of, const vegas::Record &r, const std::string &more) {
	const std::string_view data = r.data();
	std::string said = printable(data), headers;
	if (data.size() <= 1024 && said == data) {
		said = "\"data\":" + quote(said);
	} else {
		said = "\"size\":" + std::to_string(data.size()) + ",\"crc\":" + std::to_string(crc32(data));
	}
	for (const auto &h : r.headers()) {
		headers += (headers.empty() ? "[" : ",[") + quote(h.name) + "," + quote(h.value) + "]";
	}
	say_locked(more + ",\"of\":" + quote(of) + ",\"key\":" + quote(r.partition_key()) + ",\"shard\":" + quote(r.shard().id()) +
	           ",\"sequence\":" + quote(r.sequence()) + ",\"sub\":" + std::to_string(r.sub_sequence()) + ",\"attempt\":" +
	           std::to_string(r.attempt()) + ",\"aggregated\":" + (r.aggregated() ? "true" : "false") + ",\"hash_key\":" +
	           quote(r.hash_key()) + ",\"headers\":[" + headers + "]," + said);
}

static void act(const Json &behave, const std::shared_ptr<State> &s, const vegas::Record &r) {
	std::string text = printable(r.data());
	auto begins = [&](const char *with) { return behave.has(with) && text.compare(0, behave[with].s.size(), behave[with].s) == 0; };
	std::unique_lock<std::mutex> hold(s->lock);
	if (behave["keep"].is) {
		std::string bare = text.substr(0, text.find_last_not_of('.') + 1);
		s->kept.erase(bare);
		s->kept.emplace(bare, r.mark());
	}
	if (begins("die")) {
		std::raise(SIGKILL);
		pause();
	}
	if (begins("hold")) s->changed.wait(hold, [&] { return s->free; });
	hold.unlock();
	if (behave.has("pause")) std::this_thread::sleep_for(std::chrono::milliseconds(behave["pause"].whole()));
	if (begins("fail") && (!behave.has("times") || r.attempt() <= behave["times"].whole())) {
		throw std::runtime_error("cannot handle " + text);
	}
	if (!behave.has("checkpoint_every")) return;
	hold.lock();
	bool due = ++s->handled % behave["checkpoint_every"].whole() == 0;
	auto c = s->consumer;
	hold.unlock();
	if (due && c) c->checkpoint(r);
}

static void handle(const Json &behave, const std::shared_ptr<State> &s, const vegas::Record &r) {
	act(behave, s, r);
	std::lock_guard<std::mutex> hold(things.lock);
	things.positions[std::string(r.shard().id())] = r.mark().position();
}

static std::string do_consumer(const Json &cmd) {
	vegas::ConsumerOptions o;
	const std::string name = cmd["as"].s;
	const Json behave = cmd["behave"];
	auto s = std::make_shared<State>();
	if (read_options(cmd["options"], o, "dead_letter")) {
		o.dead_letter = [name](const vegas::Record &r, std::string_view error) {
			tell(name, r, "\"event\":\"dead\",\"text\":" + quote(error));
		};
	}
	if (read_options(cmd["options"], o, "on_stats")) {
		o.on_stats = [name](std::string_view json) {
			say_locked("\"event\":\"stats\",\"of\":" + quote(name) + ",\"stats\":" + std::string(json));
		};
	}
	if (read_options(cmd["options"], o, "external")) {
		o.external = [name](const vegas::Shard &at) -> std::optional<vegas::Position> {
			say_locked("\"event\":\"start\",\"of\":" + quote(name) + ",\"shard\":" + quote(std::string(at.id())) +
			           ",\"possession\":" + std::to_string(at.possession()));
			std::lock_guard<std::mutex> hold(things.lock);
			auto found = things.positions.find(std::string(at.id()));
			if (found == things.positions.end()) return std::nullopt;
			return found->second;
		};
	}
	std::shared_ptr<vegas::Consumer> c;
	if (o.by_name.count("batch") > 0 && o.by_name["batch"] == "true") {
		c = std::make_shared<vegas::Consumer>(
		    cmd["stream"].s, cmd["group"].s,
		    [name, behave, s](const vegas::Records &all) {
			    for (const auto &r : all) tell(name, r, "\"event\":\"record\",\"batch\":" + std::to_string(all.size()));
			    for (const auto &r : all) handle(behave, s, r);
		    },
		    o);
	} else {
		c = std::make_shared<vegas::Consumer>(
		    cmd["stream"].s, cmd["group"].s,
		    [name, behave, s](const vegas::Record &r) {
			    tell(name, r, "\"event\":\"record\"");
			    handle(behave, s, r);
		    },
		    o);
	}
	{
		std::lock_guard<std::mutex> hold(s->lock);
		s->consumer = c;
	}
	std::lock_guard<std::mutex> hold(things.lock);
	things.consumers[name] = s;
	return "";
}

// ---- All commands

static std::string run(const Json &cmd) {
	const std::string &what = cmd["do"].s, &of = cmd["of"].s;
	if (what == "producer") {
		vegas::ProducerOptions o;
		read_options(cmd["options"], o, "on_stats");
		auto p = std::make_shared<vegas::Producer>(cmd["stream"].s, o);
		std::lock_guard<std::mutex> hold(things.lock);
		things.producers[cmd["as"].s] = p;
		return "";
	}
	if (what == "consumer") return do_consumer(cmd);
	if (what == "send") return do_send(cmd);
	if (what == "many") return do_many(cmd);
	if (what == "fork") return do_fork(cmd);
	if (what == "misuse") {
		return "\"results\":[" + receipt_of(producer(cmd["to"].s)->send("\x80key", "x").get()) + "]";
	}
	if (what == "flush") {
		producer(of)->flush(limit(cmd));
		return "";
	}
	if (what == "close") {
		if (!is_producer(of)) {
			state(of)->consumer->close();
		} else if (cmd.has("limit")) {
			producer(of)->close(limit(cmd));
		} else {
			producer(of)->close();
		}
		return "";
	}
	if (what == "check") {
		is_producer(of) ? producer(of)->check() : state(of)->consumer->check();
		return "";
	}
	if (what == "stats") return "\"stats\":" + (is_producer(of) ? producer(of)->stats() : state(of)->consumer->stats());
	if (what == "wait") return std::string("\"ended\":") + (state(of)->consumer->wait(limit(cmd)) ? "true" : "false");
	if (what == "release") {
		auto s = state(of);
		std::lock_guard<std::mutex> hold(s->lock);
		s->free = true;
		s->changed.notify_all();
		return "";
	}
	if (what == "checkpoint") {
		auto s = state(of);
		std::unique_lock<std::mutex> hold(s->lock);
		vegas::Mark m = s->kept.at(cmd["data"].s);
		hold.unlock();
		s->consumer->checkpoint(m);
		return "";
	}
	if (what == "local") {
		std::map<std::string, int> streams;
		for (const auto &[name, n] : cmd["streams"].of) streams[name] = static_cast<int>(n.whole());
		auto l = std::make_shared<vegas::LocalKinesis>(streams);
		std::lock_guard<std::mutex> hold(things.lock);
		things.locals[cmd["as"].s] = l;
		return "\"endpoint\":" + quote(l->endpoint());
	}
	throw std::runtime_error("there is no command " + what);
}

static int interrupts[2];

int main() {
	// A program that ends at Ctrl-C has said so: it exits, which closes what is open. The
	// handler may run on a thread of the engine, where signals have a stack of their own.
	if (pipe(interrupts) != 0) return 1;
	struct sigaction action = {};
	action.sa_handler = [](int which) {
		char c = static_cast<char>(which);
		if (write(interrupts[1], &c, 1) < 0) return;
	};
	action.sa_flags = SA_ONSTACK | SA_RESTART;
	sigaction(SIGINT, &action, nullptr);
	sigaction(SIGTERM, &action, nullptr);
	std::thread([] {
		char which = 0;
		if (read(interrupts[0], &which, 1) == 1) std::exit(128 + which);
	}).detach();

	const char *path = std::getenv("VEGAS_SCENARIO_COMMANDS");
	std::ifstream file;
	if (path != nullptr) file.open(path);
	std::istream &in = path != nullptr ? static_cast<std::istream &>(file) : std::cin;
	std::string line;
	while (std::getline(in, line)) {
		Json cmd = Parser(line).value();
		if (cmd["do"].s == "exit") std::exit(0);
		std::thread([cmd] {
			std::string answer = "\"id\":" + cmd["id"].raw;
			try {
				std::string result = run(cmd);
				if (!result.empty()) answer += "," + result;
			} catch (...) {
				answer += ",\"error\":" + error_of(std::current_exception());
			}
			say_locked(answer);
		}).detach();
	}
	for (;;) pause(); // nobody commands any more
}
