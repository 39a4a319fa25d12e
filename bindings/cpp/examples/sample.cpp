#include <iostream>
#include <vegas.hpp>

int main() {
	vegas::Producer p("stream-name");
	p.send("partition-key", "message");

	auto process_record = [](const vegas::Record &r) { std::cout << r.partition_key() << ":" << r.data() << std::endl; };

	vegas::Consumer c("stream-name", "efo-arn", process_record); // group name or EFO consumer ARN; runs at once
	std::cout << "Consumer is running. Press Enter to stop" << std::endl;
	std::cin.get();
}
