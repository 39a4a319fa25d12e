/// vegas: send and receive over Amazon Kinesis Data Streams, from C++17.
///
///     vegas::Producer p("orders");
///     p.send("customer-17", "...");
///
///     vegas::Consumer c("orders", "billing", [](const vegas::Record &r) { ... });
///
/// Everything is in this header, over vegas.h and libvegas, which says what holds for
/// threads and fork. What goes wrong is thrown: a class for each code under
/// vegas::Error.
#ifndef VEGAS_HPP
#define VEGAS_HPP

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "vegas_spec.hpp"

namespace vegas {

/// A timeout of 0 or more; `forever` waits without end.
using Timeout = std::chrono::milliseconds;
inline constexpr Timeout forever{-1};

using Time = std::chrono::system_clock::time_point;

/// For the option start: where a group begins that the store does not know yet.
inline std::string at(Time t) {
	return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(t.time_since_epoch()).count());
}

namespace detail {

inline void check(vegas_code code, const vegas_error &e) {
	if (code != VEGAS_OK) std::rethrow_exception(exception(e));
}

inline int millis(Timeout t) {
	constexpr auto most = Timeout::rep(1) << 30;
	return t.count() < 0 ? -1 : int(t.count() < most ? t.count() : most);
}

inline std::string text(const std::string &v) { return v; }
inline std::string text(bool v) { return v ? "true" : "false"; }
inline std::string text(int v) { return std::to_string(v); }
inline std::string text(std::uint64_t v) { return std::to_string(v); }
inline std::string text(std::chrono::microseconds v) { return std::to_string(v.count()); }

struct FreeOptions {
	void operator()(vegas_options *o) const noexcept { vegas_options_free(o); }
};
using OptionsPointer = std::unique_ptr<vegas_options, FreeOptions>;

template <class Options> void set_all(vegas_options *o, const Options &given) {
	given.each([o](const char *name, const auto &value) {
		vegas_error e{};
		check(vegas_options_set(o, name, text(value).c_str(), &e), e);
	});
}

/// Statistics that a C function gave.
template <class Of> std::string json(Of *of, vegas_code (*ask)(Of *, char **, vegas_error *)) {
	vegas_error e{};
	char *json = nullptr;
	check(ask(of, &json, &e), e);
	std::string made(json);
	std::free(json);
	return made;
}

template <std::size_t room> void say(char (&to)[room], const std::string &text) {
	to[text.copy(to, room - 1)] = 0;
}

/// 0 where nothing was thrown: C's frames know nothing of it.
template <class Call> int guarded(vegas_error *why, const Call &call) {
	try {
		call();
		return 0;
	} catch (const std::exception &e) {
		if (why != nullptr) say(why->text, e.what());
	} catch (...) {
		if (why != nullptr) say(why->text, "something was thrown that is no std::exception");
	}
	return 1;
}

/// Calls what nobody waits for: what it throws is logged.
template <class Call> void logged(const char *name, const Call &call) {
	vegas_error why{};
	if (guarded(&why, call) != 0) vegas_log(VEGAS_ERROR, (std::string(name) + " has thrown: " + why.text).c_str());
}

inline void call_stats(void *context, const char *json) {
	logged("on_stats", [&] { (*static_cast<std::function<void(std::string_view)> *>(context))(json); });
}

/// The error of several, of which this is the first.
inline std::exception_ptr counted(std::uint64_t count, const std::exception_ptr &first) {
	try {
		std::rethrow_exception(first);
	} catch (const Error &e) {
		vegas_error all{};
		all.code = e.code();
		all.unknown = e.unknown();
		say(all.text, std::to_string(count) + " records failed, the first: " + e.text());
		say(all.remedy, e.remedy());
		return exception(all);
	}
}

} // namespace detail

// ---- Producing

/// Where a record is.
struct Receipt {
	std::string shard;    ///< that has it; "" while only the durable buffer has
	std::string sequence; ///< of the Kinesis record that it travelled in
	std::int64_t sub_sequence = 0;
	bool durable = false; ///< safe in the durable buffer, from where it will be sent
};

struct Header {
	std::string_view name, value;
};

/// What a record may have besides its key and data.
struct Extras {
	std::vector<Header> headers;
	std::string hash_key; ///< explicit hash key in decimal
};

namespace detail {

/// The result of a record; the producer has one reference to it, its Sent the other.
struct Outcome {
	enum : unsigned { done = 1, seen = 2, left = 4 }; ///< left: its Sent is gone
	std::atomic<int> refs{2};
	std::atomic<unsigned> state{0};
	Receipt receipt;
	std::exception_ptr error;
	std::function<void(const Receipt *, std::exception_ptr)> call; ///< instead of a Sent

	void drop() noexcept {
		if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
	}
};

/// What a producer and its results share.
struct Sending {
	std::mutex lock;
	std::condition_variable done;
	const std::string stream;
	std::vector<Outcome *> failed; ///< that nobody may have looked at, each with a reference
	std::exception_ptr first;      ///< failure of those without one
	std::uint64_t others = 0;      ///< how many those are
	std::function<void(std::string_view)> on_stats;
	std::chrono::steady_clock::time_point next_warning{};
	std::uint64_t kept_back = 0;
	enum { most_failed = 1000 };

	explicit Sending(std::string of) : stream(std::move(of)) {}
	Sending(const Sending &) = delete;
	Sending &operator=(const Sending &) = delete;
	~Sending() {
		for (Outcome *o : failed) o->drop();
	}

	void take(const vegas_result &r) {
		auto *o = static_cast<Outcome *>(r.context);
		std::exception_ptr error;
		if (r.error != nullptr) error = exception(*r.error);
		if (o != nullptr && !error) o->receipt = Receipt{r.shard, r.sequence, r.sub_sequence, r.status == VEGAS_DURABLE};
		if (o != nullptr && o->call) {
			logged("the function of a result", [&] { o->call(error ? nullptr : &o->receipt, error); });
			o->drop();
			return;
		}
		bool left = true;
		if (o != nullptr || error) {
			std::lock_guard<std::mutex> hold(lock);
			if (o != nullptr) {
				o->error = error;
				left = o->state.fetch_or(Outcome::done, std::memory_order_acq_rel) & Outcome::left;
				done.notify_all();
			}
			if (error && o != nullptr && failed.size() < most_failed) {
				failed.push_back(std::exchange(o, nullptr));
			} else if (error) {
				if (others++ == 0) first = error;
			}
		}
		if (o != nullptr) o->drop();
		if (error && left) warn(error);
	}

	/// Logs a failure that nobody can look at any more; a line a second.
	void warn(const std::exception_ptr &error) {
		std::uint64_t count = 0;
		{
			std::lock_guard<std::mutex> hold(lock);
			kept_back++;
			auto now = std::chrono::steady_clock::now();
			if (now < next_warning) return;
			next_warning = now + std::chrono::seconds(1);
			count = std::exchange(kept_back, 0);
		}
		try {
			std::rethrow_exception(error);
		} catch (const Error &e) {
			const std::string many = count > 1 ? std::to_string(count) + " records failed, the last one: " : "a record failed: ";
			vegas_log(VEGAS_WARN, ("stream \"" + stream + "\": " + many + e.text()).c_str());
		}
	}

	/// The failures that nobody has looked at, as one.
	std::exception_ptr unseen() {
		if (vegas_forked(nullptr)) return nullptr; // where the lock may be held for ever
		std::lock_guard<std::mutex> hold(lock);
		std::exception_ptr found = std::exchange(first, nullptr);
		std::uint64_t count = std::exchange(others, 0);
		for (Outcome *o : failed) {
			if (!(o->state.load() & Outcome::seen)) {
				if (count++ == 0) found = o->error;
			}
			o->drop();
		}
		failed.clear();
		return count > 1 ? counted(count, found) : found;
	}
};

/// In a child of a fork what threads of its parent wait for cannot be destroyed.
inline bool leak_in_fork(std::shared_ptr<Sending> &sending) {
	if (!vegas_forked(nullptr)) return false;
	new std::shared_ptr<Sending>(std::move(sending));
	return true;
}

} // namespace detail

/// What send gives back. A failure that nobody asks it for is logged, and thrown by
/// flush and close.
class Sent {
public:
	Sent(Sent &&other) noexcept : sending_(std::move(other.sending_)), outcome_(std::exchange(other.outcome_, nullptr)) {}
	Sent &operator=(Sent &&other) noexcept {
		std::swap(sending_, other.sending_);
		std::swap(outcome_, other.outcome_);
		return *this;
	}
	~Sent() {
		if (outcome_ == nullptr || detail::leak_in_fork(sending_)) return;
		const unsigned was = outcome_->state.fetch_or(detail::Outcome::left, std::memory_order_acq_rel);
		if (was == detail::Outcome::done && outcome_->error) sending_->warn(outcome_->error);
		outcome_->drop();
	}

	bool ready() const noexcept { return outcome_->state.load(std::memory_order_acquire) & detail::Outcome::done; }

	/// Whether there is a result within the timeout.
	bool wait_for(Timeout timeout) const {
		if (ready()) return true;
		vegas_error e{};
		if (vegas_forked(&e)) detail::check(e.code, e);
		std::unique_lock<std::mutex> hold(sending_->lock);
		auto is = [this] { return ready(); };
		if (timeout < Timeout::zero()) {
			sending_->done.wait(hold, is);
			return true;
		}
		return sending_->done.wait_for(hold, timeout, is);
	}

	/// Waits for the receipt, or throws why there is none.
	const Receipt &get() const {
		if (!ready()) wait_for(forever);
		outcome_->state.fetch_or(detail::Outcome::seen);
		if (outcome_->error) std::rethrow_exception(outcome_->error);
		return outcome_->receipt;
	}

private:
	friend class Producer;
	Sent(std::shared_ptr<detail::Sending> sending, detail::Outcome *outcome) : sending_(std::move(sending)), outcome_(outcome) {}
	std::shared_ptr<detail::Sending> sending_;
	detail::Outcome *outcome_;
};

/// Sends records to one stream: one for each stream, for all threads. The more is sent
/// before results are asked for, the fuller the batches are. Order is kept between
/// sends that follow each other.
class Producer {
public:
	/// Returns when records can be sent. What is wrong with the stream, the credentials
	/// or the network is the error of records, or of check.
	explicit Producer(const std::string &stream, ProducerOptions options = {}) : sending_(std::make_shared<detail::Sending>(stream)) {
		detail::OptionsPointer o(vegas_producer_options());
		detail::set_all(o.get(), options);
		vegas_options_on_result(
		    o.get(), [](void *context, const vegas_result *r) { static_cast<detail::Sending *>(context)->take(*r); },
		    sending_.get());
		if (options.on_stats) {
			sending_->on_stats = std::move(options.on_stats);
			vegas_options_on_stats(o.get(), detail::call_stats, &sending_->on_stats);
		}
		vegas_error e{};
		detail::check(vegas_producer_open(stream.c_str(), o.get(), &p_, &e), e);
	}
	Producer(Producer &&other) noexcept : sending_(std::move(other.sending_)), p_(std::exchange(other.p_, nullptr)) {}
	Producer &operator=(Producer &&other) noexcept {
		std::swap(sending_, other.sending_);
		std::swap(p_, other.p_);
		return *this;
	}
	/// Closes it. A failure that nobody has looked at is logged.
	~Producer() {
		if (p_ == nullptr) return;
		(void)vegas_producer_close(p_, VEGAS_DEFAULT, nullptr);
		if (detail::leak_in_fork(sending_)) return;
		if (std::exception_ptr error = sending_->unseen()) {
			try {
				std::rethrow_exception(error);
			} catch (const std::exception &e) {
				vegas_log(VEGAS_ERROR, ("stream \"" + sending_->stream + "\": a failure that nobody has looked at: " + e.what()).c_str());
			}
		}
		vegas_producer_free(p_);
	}

	/// Accepts a record; it waits while buffer_bytes are on their way.
	Sent send(std::string_view key, std::string_view data, const Extras &extras = {}) {
		auto *o = new detail::Outcome;
		Sent sent(sending_, o);
		accept(key, data, extras, o);
		return sent;
	}

	/// Accepts a record, and calls done with its receipt, or with nullptr and its error,
	/// in a thread of the producer's. What it throws is logged.
	void send(std::string_view key, std::string_view data, std::function<void(const Receipt *, std::exception_ptr)> done,
	          const Extras &extras = {}) {
		auto *o = new detail::Outcome;
		o->refs = 1;
		o->call = std::move(done);
		struct Guard { // should accept throw
			detail::Outcome *o;
			~Guard() {
				if (o != nullptr) o->drop();
			}
		} guard{o};
		accept(key, data, extras, o, false);
		guard.o = nullptr;
	}

	/// The cheapest way: a failure is logged, and thrown by flush and close.
	void post(std::string_view key, std::string_view data, const Extras &extras = {}) { accept(key, data, extras, nullptr); }

	/// Returns when all that was sent has its result. Throws the first of the failures
	/// that nobody asked for, and how many they are, and TimeoutError.
	void flush(Timeout timeout = forever) {
		vegas_error e{};
		vegas_code code = vegas_flush(p_, detail::millis(timeout), &e);
		finish(code, e);
	}

	/// Like flush, and then the end of the producer. By default it waits for as long as
	/// close_timeout says.
	void close() { shut(VEGAS_DEFAULT); }
	void close(Timeout timeout) { shut(detail::millis(timeout)); }

	/// Asks whether the stream can be sent to, and throws why not.
	void check() {
		vegas_error e{};
		detail::check(vegas_producer_check(p_, &e), e);
	}

	/// Statistics by the names of the metrics, as JSON.
	std::string stats() { return detail::json(p_, vegas_producer_stats); }

	vegas_producer *c_producer() const noexcept { return p_; }

private:
	void accept(std::string_view key, std::string_view data, const Extras &extras, detail::Outcome *o, bool shared = true) {
		std::vector<vegas_header> headers;
		for (const Header &h : extras.headers) {
			headers.push_back({h.name.data(), h.name.size(), h.value.data(), h.value.size()});
		}
		vegas_message m{};
		m.key = key.data();
		m.key_size = key.size();
		m.data = data.data();
		m.size = data.size();
		m.headers = headers.data();
		m.header_count = headers.size();
		m.hash_key = extras.hash_key.empty() ? nullptr : extras.hash_key.c_str();
		m.context = o;
		vegas_error e{};
		vegas_code code = vegas_send_message(p_, &m, nullptr, &e);
		if (code != VEGAS_OK) {
			if (o != nullptr && shared) o->drop(); // the producer's reference
			detail::check(code, e);
		}
	}

	void shut(int timeout) {
		vegas_error e{};
		vegas_code code = vegas_producer_close(p_, timeout, &e);
		finish(code, e);
	}

	void finish(vegas_code code, const vegas_error &e) {
		if (std::exception_ptr error = sending_->unseen()) std::rethrow_exception(error);
		detail::check(code, e);
	}

	std::shared_ptr<detail::Sending> sending_;
	vegas_producer *p_ = nullptr;
};

// ---- Consuming

/// A shard, while this worker has it.
class Shard {
public:
	explicit Shard(const vegas_shard *s, Position start = {}) : s_(s), start_(std::move(start)) {}
	std::string_view id() const { return vegas_shard_id(s_); }
	std::string_view stream() const { return vegas_shard_stream(s_); }
	/// Fencing token: it grows with each owner.
	std::int64_t possession() const { return vegas_shard_possession(s_); }
	/// Why a handler should return soon, or VEGAS_STOP_NONE.
	vegas_stop stopping() const { return vegas_shard_stopping(s_); }
	/// For the option external: the position that the store knows.
	const Position &start() const { return start_; }

private:
	const vegas_shard *s_;
	Position start_;
};

/// The place of a record, which may be kept.
class Mark {
public:
	explicit Mark(const vegas_record *r)
		: shard_(vegas_shard_keep(r->shard), vegas_shard_release), at_{r->sequence, r->sub_sequence} {}
	const Position &position() const noexcept { return at_; }
	const vegas_shard *c_shard() const noexcept { return shard_.get(); }

private:
	std::shared_ptr<const vegas_shard> shard_;
	Position at_;
};

/// A record of the stream. It is valid until its handler returns, and so is what it
/// points to.
class Record {
public:
	explicit Record(const vegas_record *r) : r_(r) {}

	std::string_view partition_key() const { return {r_->partition_key, r_->partition_key_size}; }
	std::string_view data() const { return {static_cast<const char *>(r_->data), r_->size}; }
	/// In decimal, or "".
	std::string_view hash_key() const { return r_->hash_key; }
	/// Sequence number of the Kinesis record that it travelled in.
	std::string_view sequence() const { return r_->sequence; }
	/// Its index in an aggregate, or 0.
	std::int64_t sub_sequence() const { return r_->sub_sequence; }
	Time arrival_time() const { return Time(std::chrono::milliseconds(r_->arrival_time)); }
	/// How often it is handled by now, 1 at first.
	int attempt() const { return r_->attempt; }
	bool aggregated() const { return r_->aggregated != 0; }
	Shard shard() const { return Shard(r_->shard); }
	std::string_view stream() const { return vegas_shard_stream(r_->shard); }
	vegas_stop stopping() const { return vegas_shard_stopping(r_->shard); }

	/// All headers, in their order.
	std::vector<Header> headers() const {
		std::vector<vegas_header> all(vegas_record_headers(r_, nullptr, 0));
		vegas_record_headers(r_, all.data(), all.size());
		std::vector<Header> made;
		for (const vegas_header &h : all) {
			made.push_back({{h.name, h.name_size}, {static_cast<const char *>(h.value), h.size}});
		}
		return made;
	}

	/// The first header of a name.
	std::optional<std::string_view> header(const std::string &name) const {
		std::size_t size = 0;
		const void *value = vegas_record_header(r_, name.c_str(), &size);
		if (value == nullptr) return std::nullopt;
		return std::string_view(static_cast<const char *>(value), size);
	}

	/// Its place, which a consumer can checkpoint later.
	Mark mark() const { return Mark(r_); }

	const vegas_record *c_record() const noexcept { return r_; }

private:
	const vegas_record *r_;
};

/// A run of records of one shard.
class Records {
public:
	Records(const vegas_record *first, std::size_t count) : first_(first), count_(count) {}
	std::size_t size() const noexcept { return count_; }
	bool empty() const noexcept { return count_ == 0; }
	Record operator[](std::size_t i) const { return Record(first_ + i); }

	class iterator {
	public:
		using iterator_category = std::input_iterator_tag;
		using value_type = Record;
		using difference_type = std::ptrdiff_t;
		using pointer = const Record *;
		using reference = Record;
		explicit iterator(const vegas_record *r) : r_(r) {}
		Record operator*() const { return Record(r_); }
		iterator &operator++() {
			++r_;
			return *this;
		}
		iterator operator++(int) { return iterator(r_++); }
		bool operator==(const iterator &other) const { return r_ == other.r_; }
		bool operator!=(const iterator &other) const { return r_ != other.r_; }

	private:
		const vegas_record *r_;
	};
	iterator begin() const { return iterator(first_); }
	iterator end() const { return iterator(first_ + count_); }

private:
	const vegas_record *first_;
	std::size_t count_;
};

/// A run of records that was polled. It is settled when it is destroyed: what is
/// neither done nor failed then comes again.
class Chunk {
public:
	explicit Chunk(vegas_chunk *c) : c_(c) {}
	Records records() const {
		std::size_t count = 0;
		const vegas_record *first = vegas_chunk_records(c_.get(), &count);
		return Records(first, count);
	}
	/// How far its end lies behind the tip of the shard.
	std::chrono::milliseconds behind() const { return std::chrono::milliseconds(vegas_chunk_behind(c_.get())); }
	/// All of it, or one of its records, is done with.
	void done() { vegas_chunk_done(c_.get(), 0, records().size()); }
	void done(std::size_t index) { vegas_chunk_done(c_.get(), index, index + 1); }
	/// A record has failed: begin no other one of its key.
	void failed(std::size_t index, const std::string &why) { vegas_chunk_failed(c_.get(), index, why.c_str()); }

private:
	struct Settle {
		void operator()(vegas_chunk *c) const noexcept { vegas_settle(c); }
	};
	std::unique_ptr<vegas_chunk, Settle> c_;
};

namespace detail {

/// What a consumer calls.
struct Receiving {
	std::function<void(const Record &)> one;
	std::function<void(const Records &)> batch;
	ConsumerOptions options;
};

inline int call_handler(void *context, const vegas_record *r, std::size_t count, vegas_error *why) {
	auto *of = static_cast<Receiving *>(context);
	return guarded(why, [&] {
		if (of->batch) {
			of->batch(Records(r, count));
		} else {
			of->one(Record(r));
		}
	});
}

inline int call_dead_letter(void *context, const vegas_record *r, const char *error) {
	auto *of = static_cast<Receiving *>(context);
	return guarded(nullptr, [&] { of->options.dead_letter(Record(r), error); });
}

inline int call_external(void *context, const vegas_shard *s, char *sequence, std::int64_t *sub_sequence) {
	auto *of = static_cast<Receiving *>(context);
	return guarded(nullptr, [&] {
		auto at = of->options.external(Shard(s, Position{sequence, *sub_sequence}));
		if (!at) return;
		if (at->sequence.size() > 131) throw std::length_error("a sequence number has 128 digits at most");
		sequence[at->sequence.copy(sequence, 131)] = 0;
		*sub_sequence = at->sub_sequence;
	});
}

} // namespace detail

/// Receives the records of a stream as a worker of a group, from construction until it
/// is closed or destroyed. `group` is a name, or the ARN of a fan-out consumer.
///
/// The handler has done its work when it returns; what it throws is a failure, which
/// on_error, max_attempts and dead_letter decide about. Each shard has a thread of its
/// own, so handlers run side by side for different shards and one after the other for
/// one, unless parallel says otherwise.
class Consumer {
public:
	/// A handler takes a Record, or Records, which makes batches of them.
	template <class Handler, class = std::enable_if_t<std::is_invocable_v<Handler &, const Record &> || std::is_invocable_v<Handler &, const Records &>>>
	Consumer(const std::string &stream, const std::string &group, Handler handler, ConsumerOptions options = {}) {
		auto receiving = std::make_unique<detail::Receiving>();
		if constexpr (std::is_invocable_v<Handler &, const Record &>) {
			receiving->one = std::move(handler);
		} else {
			receiving->batch = std::move(handler);
			options.batch = true;
		}
		open(stream, group, std::move(receiving), std::move(options), detail::call_handler);
	}

	/// Without a handler records come by poll.
	Consumer(const std::string &stream, const std::string &group, ConsumerOptions options = {}) {
		open(stream, group, std::make_unique<detail::Receiving>(), std::move(options), nullptr);
	}

	Consumer(Consumer &&other) noexcept : receiving_(std::move(other.receiving_)), c_(std::exchange(other.c_, nullptr)) {}
	Consumer &operator=(Consumer &&other) noexcept {
		std::swap(receiving_, other.receiving_);
		std::swap(c_, other.c_);
		return *this;
	}
	~Consumer() {
		if (c_ != nullptr && vegas_consumer_close(c_, nullptr) != VEGAS_OK) {
			receiving_.release(); // a handler still runs
		}
		vegas_consumer_free(c_);
	}

	/// The next run of records of any shard, or nothing when there is none within the
	/// timeout. Throws what ended the consumer, or ClosedError.
	std::optional<Chunk> poll(Timeout timeout = forever) {
		vegas_error e{};
		vegas_chunk *chunk = nullptr;
		vegas_code code = vegas_consumer_poll(c_, detail::millis(timeout), &chunk, &e);
		if (code == VEGAS_TIMEOUT) return std::nullopt;
		detail::check(code, e);
		return Chunk(chunk);
	}

	/// Waits for the end, and throws what it was, unless that was close, and
	/// GraceOverError where handlers had not ended by the time that grace gives them.
	/// False after the timeout.
	bool wait(Timeout timeout = forever) {
		vegas_error e{};
		vegas_code code = vegas_consumer_wait(c_, detail::millis(timeout), &e);
		if (code == VEGAS_TIMEOUT) return false;
		detail::check(code, e);
		return true;
	}

	/// Begins nothing further, waits for handlers for as long as grace says, writes
	/// checkpoints and gives the shards back. Called by a handler it does not wait.
	/// False: the time is over, and handlers still run; wait tells which.
	bool close() {
		vegas_error e{};
		vegas_code code = vegas_consumer_close(c_, &e);
		if (code == VEGAS_GRACE_OVER) return false;
		detail::check(code, e);
		return true;
	}

	/// Moves the group's position behind a record, with checkpoint = "manual".
	void checkpoint(const Record &r) {
		vegas_error e{};
		detail::check(vegas_checkpoint(c_, r.c_record(), &e), e);
	}

	void checkpoint(const Mark &m) {
		vegas_error e{};
		detail::check(vegas_checkpoint_at(c_, m.c_shard(), m.position().sequence.c_str(), m.position().sub_sequence, &e), e);
	}

	/// Asks whether the stream can be read, and throws why not.
	void check() {
		vegas_error e{};
		detail::check(vegas_consumer_check(c_, &e), e);
	}

	/// Statistics by the names of the metrics, as JSON.
	std::string stats() { return detail::json(c_, vegas_consumer_stats); }

	vegas_consumer *c_consumer() const noexcept { return c_; }

private:
	void open(const std::string &stream, const std::string &group, std::unique_ptr<detail::Receiving> receiving, ConsumerOptions options,
	          vegas_handler *handler) {
		detail::OptionsPointer o(vegas_consumer_options());
		detail::set_all(o.get(), options);
		receiving->options = std::move(options);
		if (receiving->options.on_stats) {
			vegas_options_on_stats(o.get(), detail::call_stats, &receiving->options.on_stats);
		}
		if (receiving->options.dead_letter) {
			vegas_options_dead_letter(o.get(), detail::call_dead_letter, receiving.get());
		}
		if (receiving->options.external) {
			vegas_options_external(o.get(), detail::call_external, receiving.get());
		}
		vegas_error e{};
		detail::check(vegas_consumer_open(stream.c_str(), group.c_str(), handler, receiving.get(), o.get(), &c_, &e), e);
		receiving_ = std::move(receiving);
	}

	std::unique_ptr<detail::Receiving> receiving_;
	vegas_consumer *c_ = nullptr;
};

// ---- A Kinesis of one's own for tests

/// In memory, on a free port of 127.0.0.1. Producers and consumers find it by the
/// option endpoint alone.
class LocalKinesis {
public:
	/// Streams by their names and numbers of shards; `more` are further arguments, as
	/// members of a JSON object, such as "\"no_limits\": true".
	explicit LocalKinesis(const std::map<std::string, int> &streams, const std::string &more = {}) {
		std::string json = "{\"streams\": {";
		for (const auto &[name, shards] : streams) {
			if (json.back() != '{') json += ", ";
			json += '"' + name + "\": " + std::to_string(shards);
		}
		json += more.empty() ? "}}" : "}, " + more + "}";
		vegas_error e{};
		detail::check(vegas_local_open(json.c_str(), &l_, &e), e);
	}
	LocalKinesis(LocalKinesis &&other) noexcept : l_(std::exchange(other.l_, nullptr)) {}
	LocalKinesis &operator=(LocalKinesis &&other) noexcept {
		std::swap(l_, other.l_);
		return *this;
	}
	~LocalKinesis() { vegas_local_free(l_); }

	std::string endpoint() const { return vegas_local_endpoint(l_); }
	/// What other programs need in their environment: "NAME=value" texts.
	std::vector<std::string> environment() const {
		std::vector<std::string> all;
		for (const char *const *v = vegas_local_environment(l_); *v != nullptr; v++) all.emplace_back(*v);
		return all;
	}

private:
	vegas_local *l_ = nullptr;
};

} // namespace vegas

#endif
