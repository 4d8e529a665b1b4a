# An index of commands, without logic: what they do stands in scripts/, tuning/
# and the programs themselves. `make help` prints the comments.

.DEFAULT_GOAL := help
.PHONY: help run web monitor monitor-demo test lint fmt audit bench bench-million alert-storm memory crash presence-kills old-kernel tune tune-undo doctor fuzz-smoke sim sim-seeds log-seeds docs noise-demo

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

run: ## build, start a server for trying out, say how to chat with it
	@scripts/run

web: ## build the web chat into web/dist, to be hosted anywhere, and the console
	@scripts/setup-web

monitor: ## a server under load with Prometheus, Alertmanager, the bridge and robots
	@scripts/monitor

monitor-demo: ## breaks that one after another, and says who is told (ARGS=--fast: hurries)
	@scripts/monitor demo $(ARGS)

test: ## every check; installs what it needs; ends with "N passed, N failed"
	@scripts/test

lint: ## formatting, clippy, rustdoc, shell scripts
	@scripts/test format clippy rustdoc shell

fmt: ## format the Rust sources
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

audit: ## licences, bans, sources, and (needs the network) advisories
	@scripts/setup-deny
	target/tools/bin/cargo-deny check

bench: ## every figure of docs/BENCHMARKS.md beside the bare ring, as a report
	cargo build --release --bins
	scripts/with-tcp-table 4194304 target/release/rookery-bench report

bench-million: ## a million authenticated connections, both ends on this machine
	cargo build --release --bins
	scripts/with-tcp-table 4194304 target/release/rookery-bench report --only million

alert-storm: ## 1,000 alerts through the bridge: refused, corrected, giant, throttled, killed
	ROOKERY_STORM_ALERTS=1000 cargo test --test alert everything_at_once -- --nocapture

memory: ## a million rooms come and go, in memory, and 100,000 on disk; memory before and after
	ROOKERY_MEMORY_ROOMS=1000000 cargo test --release --test memory -- --nocapture

crash: ## kill the server 200 times under load, fill its file system, let its disk fail
	@scripts/crash

presence-kills: ## kill the server 20 times and a backend 100 times, and compare who is there
	@scripts/presence-kills

old-kernel: ## boot Debian 12's Linux 6.1 in a virtual machine, and run the server on it
	@scripts/old-kernel

tune: ## show what the tuning scripts would change; APPLY=1 does it (root)
	@tuning/all tune

tune-undo: ## put back what `make tune APPLY=1` found (root)
	@tuning/all undo

doctor: ## whether this machine can hold a million connections, and what to change
	cargo build --release --bin rookery
	target/release/rookery doctor --connections 1000000

fuzz-smoke: ## each fuzz target for a minute
	@scripts/fuzz-smoke

sim: ## whole servers from seeds, with faults and checkers
	cargo run --profile quick -p rookery-sim -- --seeds 0..1000
	cargo run --profile quick -p rookery-sim -- --store --seeds 0..1000
	cargo run --profile quick -p rookery-sim -- --pressed --seeds 0..1000
	cargo run --profile quick -p rookery-sim -- --crowded --seeds 0..1000
	cargo run --profile quick -p rookery-sim -- --hooked --seeds 0..1000
	cargo run --profile quick -p rookery-sim -- --removed --seeds 0..1000
	cargo run --profile quick -p rookery-sim -- --grouped --seeds 0..1000

sim-seeds: ## a hundred thousand seeds of each kind of world; goes on where it stopped
	@scripts/sim-seeds

log-seeds: ## 200,000 torn tails, 10,000 worlds and 1,000 kills of the log; goes on where it stopped
	@scripts/log-seeds

docs: ## the library's documentation, the generated pages of docs/, and docs as a site
	@scripts/docs

noise-demo: ## 12,840 series and 69 alerts of one incident, and the one message that is left
	@scripts/setup-debian --monitoring
	@scripts/noise-demo
