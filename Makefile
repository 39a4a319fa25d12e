# What checks vegas. `make check` is what CI runs; a stage of it by name is
# quicker. Whatever else than Go they need is built once into .cache.

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 24
	@echo "  and one stage of check: $(STAGES)"

.PHONY: check
check: ## all that CI runs, with its time budget
	.ci/run

# The stages of .ci/run; each prints its wall time and what failed.
STAGES := test race vet-cross lint fuzz gate rehearse-release test-peers-short test-stores test-languages bench-peers-short
.PHONY: $(STAGES)
$(STAGES):
	.ci/run $@

.PHONY: test-peers
test-peers: ## like test-peers-short, with Java and every foreign server
	go test -count=1 -timeout 60m -tags peers,servers ./peers/...

# What bindings of other languages are tried with.
ENGINE := $(CURDIR)/.cache/engine/vegas-engine
.PHONY: engine
engine: ## the engine of programs in other languages, into .cache/engine
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o $(ENGINE) ./cmd/vegas/vegas-engine

.PHONY: test-python
PYTHON ?= python3
test-python: engine ## the Python binding (PYTHON=python3)
	cd bindings/python && VEGAS_ENGINE=$(ENGINE) $(PYTHON) -W ignore::ResourceWarning -m unittest discover -t . tests

.PHONY: test-ruby
test-ruby: engine ## the Ruby binding, with Ruby and its minitest
	VEGAS_ENGINE=$(ENGINE) ruby -w -Ibindings/ruby/lib -e 'ARGV.each { |f| require f }' $(CURDIR)/bindings/ruby/test/*_test.rb

.PHONY: test-js
test-js: engine ## the JavaScript binding, with Node.js
	VEGAS_ENGINE=$(ENGINE) node --test --test-reporter=tap $(CURDIR)/bindings/js/test/*.test.js

.PHONY: test-dotnet
DOTNET ?= bindings/dotnet/sdk.sh $(CURDIR)/.cache/dotnet/sdk
DOTNET_TESTS := .cache/dotnet/built/bin/Tests
test-dotnet: engine ## the C# binding, with an SDK 3.1 (DOTNET=dotnet: the machine's), and mono where there is one
	$(DOTNET) build -nologo -v quiet -clp:NoSummary bindings/dotnet/Tests
	VEGAS_ENGINE=$(ENGINE) $(DOTNET) exec $(DOTNET_TESTS)/netcoreapp3.1/Tests.dll
	@if command -v mono >/dev/null; then echo "with mono:"; VEGAS_ENGINE=$(ENGINE) mono $(DOTNET_TESTS)/netstandard2.0/Tests.dll; \
		else echo "mono is not installed: left out"; fi

.PHONY: test-java
JDK = $(if $(JAVA_HOME),$(JAVA_HOME)/bin/)
JAVA := $(CURDIR)/.cache/java
test-java: engine ## the Java binding, with a JDK of 17 or later (JAVA_HOME)
	rm -rf $(JAVA)/main $(JAVA)/test
	$(JDK)javac --release 17 -Xlint:all -Werror -d $(JAVA)/main $$(find bindings/java/src/main -name '*.java')
	$(JDK)javac --release 17 -cp $(JAVA)/main -d $(JAVA)/test $$(find bindings/java/src/test -name '*.java')
	VEGAS_ENGINE=$(ENGINE) AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local \
		$(JDK)java -cp $(JAVA)/main:$(JAVA)/test io.libvegas.Tests

.PHONY: test-bindings
test-bindings: engine ## the short scenarios in every language that this machine has
	VEGAS_ENGINE=$(ENGINE) go run ./bindings/scenarios

.PHONY: test-bindings-all
test-bindings-all: engine ## all scenarios in every language; writes the table of docs/languages.md
	VEGAS_ENGINE=$(ENGINE) go run ./bindings/scenarios -all -v -write

.PHONY: packages test-packages test-packages-short
PACKAGING ?=
packages: ## packages of all languages, with the engines of all platforms, into .cache/packages/dist (PACKAGING=-partial: what this machine can)
	go run ./internal/packages $(PACKAGING) build

test-packages: packages ## build them, install each by name into an empty environment, tell all scenarios there; writes the table of docs/languages.md
	go run ./internal/packages $(PACKAGING) install
	VEGAS_ENGINE= go run ./bindings/scenarios -installed .cache/packages/installed -all -v -write

SHORTLY := go run ./internal/packages -here -partial -network -out .cache/packages-short
test-packages-short: engine ## Python's and JavaScript's with this platform's engine alone, and one scenario
	$(SHORTLY) build python js
	$(SHORTLY) install python js
	VEGAS_ENGINE= go run ./bindings/scenarios -engine $(ENGINE) -installed .cache/packages-short/installed -languages python,js -run '^send_and_receive$$'

.PHONY: test-c test-cpp
test-c: ## the C library, with a C compiler and valgrind
	$(MAKE) -C bindings/c test

test-cpp: ## its C++ header, with CMake
	$(MAKE) -C bindings/c install PREFIX=$(CURDIR)/.cache/c/prefix
	cmake -S bindings/cpp/test -B .cache/cpp -DCMAKE_PREFIX_PATH=$(CURDIR)/.cache/c/prefix -DCMAKE_BUILD_TYPE=Release
	cmake --build .cache/cpp
	ctest --test-dir .cache/cpp --output-on-failure

.PHONY: simulate
SEEDS ?= 1000000
DURABLE_SEEDS ?= 1000000
FLEET_SEEDS ?= 1000000
FLEETS ?= 10m
simulate: ## the rings of proof at length (SEEDS=1000000 DURABLE_SEEDS=1000000 FLEET_SEEDS=1000000 FLEETS=10m)
	go test -count=1 -timeout 0 -run=TestSeeds ./internal/simulate -args -seeds=$(SEEDS)
	go test -count=1 -timeout 0 -v -run=TestDurableSeeds ./internal/simulate -args -durables=$(DURABLE_SEEDS)
	go test -count=1 -timeout 0 -v -run=TestFleetSeeds ./internal/simulate -args -fleets=$(FLEET_SEEDS)
	go test -count=1 -timeout 0 -v -run=TestFleets ./internal/fleettest -args -for=$(FLEETS)

.PHONY: kill
KILLS ?= 100
kill: ## kill -9 workers whose effects must happen once, on SQLite and PostgreSQL (KILLS=100)
	go test -count=1 -timeout 0 -v ./examples/ledger -args -kills=$(KILLS)
	go test -count=1 -timeout 0 -v -tags peers,servers -run=TestPostgresKills ./peers -args -kills=$(KILLS)

.PHONY: external-kill
external-kill: engine ## the same with positions of the program's own: kill -9 and freeze Python workers on SQLite (KILLS=100)
	cd bindings/python && VEGAS_ENGINE=$(ENGINE) KILLS=$(KILLS) $(PYTHON) -W ignore::ResourceWarning -m unittest -v tests.test_ledger

.PHONY: crash
SCRIPTS ?= 300
crash: ## crash the durable buffer at each step of scripts, cut and flip its every byte (SCRIPTS=300)
	go test -count=1 -timeout 0 -v -run='TestCrashes|TestPlanted|TestCutAndFlip|TestManyDamages' ./buffer/disk -args -seeds=$(SCRIPTS)

.PHONY: fleet-kill
fleet-kill: KILLS = 200
fleet-kill: ## kill -9 processes of a fleet under load, 0 lost and 0 out of order (KILLS=200, for each store)
	go test -count=1 -timeout 0 -v -run=TestFleetSurvivesKills ./cmd/vegas -args -kills=$(KILLS)

.PHONY: durable-kill
durable-kill: KILLS = 1000
durable-kill: ## kill -9 a durable producer at any moment, 0 lost, 0 out of order, 0 twice (KILLS=1000)
	go test -count=1 -timeout 0 -v -run=TestProducerSurvivesKills ./cmd/vegas -args -producer-kills=$(KILLS)

.PHONY: fleet-numbers
fleet-numbers: ## what a fleet promises, measured: silences, store units, cost of a shard (KILLS=100)
	@mkdir -p .cache
	cd internal/fleetnumbers && go test -count=1 -timeout 0 -o ../../.cache/fleetnumbers.test -args -whole -kills=$(KILLS)
	go test -count=1 -timeout 0 -v -tags peers,servers -run=TestDynamoDBFleet ./peers -args -kills=$(KILLS)

.PHONY: bench
BENCH ?= .
COUNT ?= 10
PKG   ?= work
bench: ## benchmarks (BENCH=regexp COUNT=10 PKG=./internal/wire), for benchstat
	go test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(COUNT) $(PKG)

.PHONY: gate-update
RUN ?=
gate-update: ## write down anew what the gate compares with, of all loads or some (RUN=send)
	go run ./bench/gate -update -run '$(RUN)'

.PHONY: bench-peers
bench-peers: ## vegas beside every other client, then its latency, growth, rest and order; writes docs/benchmarks.md
	@failed=0; for part in "peers" "peers latency" "peers scale" "peers idle" "gate -run send"; do \
		echo "go run ./bench/$$part -write"; go run ./bench/$$part -write || failed=1; \
	done; exit $$failed

# The directory for temporary files is memory on some machines, where a sync is free.
ON_DISK = TMPDIR="$(CURDIR)/.cache"

.PHONY: bench-bindings bench-bindings-short
bench-bindings: ## every language beside its own SDK, Go and JSON lines; writes docs/benchmarks.md
	go run ./bench/bindings -write

bench-bindings-short: ## does every language that this machine has still do all of the work?
	go run ./bench/bindings -short

.PHONY: bench-buffer
bench-buffer: ## durable appends, beside a bare loop, bbolt, Pebble's record log and SQLite
	@mkdir -p .cache
	$(ON_DISK) go test -count=1 -timeout 0 -v -run=TestDurableAppends ./bench/buffer -args -long

.PHONY: bench-durable
bench-durable: ## what a durable producer costs, beside its parts, and how it reopens a gigabyte
	@mkdir -p .cache
	$(ON_DISK) go test -count=1 -timeout 0 -v -run='TestDurableNumbers|TestNoDurable|TestReopenBacklog' . -args -producer.numbers

.PHONY: generate
generate: ## bring generated files up to date
	go generate work

.PHONY: fmt
fmt: ## gofmt and goimports, in every module
	.ci/run fmt

.PHONY: fix
fix: ## lint, and mend what the linters can mend
	.ci/run fix

.PHONY: tidy
tidy: ## go mod tidy in every module; cmd/vegas sees the tree's own modules
	go run ./internal/release tidy

.PHONY: release
release: ## tag all modules (VERSION=v0.1.0; DRY_RUN=1 only shows what it would do)
	go run ./internal/release tag $(if $(DRY_RUN),--dry-run) $(VERSION)

.PHONY: vuln
vuln: ## known vulnerabilities, outside CI: asks vuln.go.dev
	.ci/run vuln
