// Sends records and receives them, over a Kinesis of its own in memory: no account, no
// network.
#include <atomic>
#include <chrono>
#include <iostream>
#include <thread>
#include <vegas.hpp>

int main() {
	using namespace std::chrono_literals;
	constexpr int count = 100;
	vegas::LocalKinesis k({{"orders", 2}});
	vegas::ProducerOptions sending;
	vegas::ConsumerOptions receiving;
	sending.endpoint = receiving.endpoint = k.endpoint();

	std::atomic<int> received{0};
	vegas::Consumer c("orders", "billing", [&](const vegas::Record &) { received++; }, receiving);
	vegas::Producer p("orders", sending);
	for (int i = 0; i < count; i++) p.post("customer-" + std::to_string(i % 10), "message");
	p.flush(10s);
	for (int waited = 0; received < count && waited < 1000; waited++) std::this_thread::sleep_for(10ms);
	c.close();
	std::cout << "sent " << count << ", received " << received << std::endl;
	return received == count ? 0 : 1;
}
