# One line a target over cargo and xtask. `make` alone prints what there is.
.DEFAULT_GOAL := help
export RUST_LIB_BACKTRACE := 0

help: ## Prints this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: ## Makes a cluster with OpenBao, installs Steamer, applies the samples and shows what it does
	@cargo xtask run

stop: ## Ends what `make run` has started
	@cargo xtask stop

test: ## Runs every test on real servers; sets up what they need
	@cargo xtask prepare
	@cargo build --quiet --package steamer
	@cargo test --workspace --lib --bins --test e2e --no-fail-fast -- --test-threads=6
	@cargo test --package steamer-e2e --test nodes -- --test-threads=2

lint: ## Checks format and lints
	@cargo fmt --all --check
	@cargo clippy --quiet --workspace --all-targets -- -D warnings

fmt: ## Formats the code
	@cargo fmt --all

manifests: ## Writes what is generated from the code: definitions, chart files
	@cargo xtask manifests

image: ## Builds the operator's image: PROFILE=release for one to ship
	@cargo xtask image --profile $(or $(PROFILE),dev)

chart: ## Lints and renders the charts
	@cargo xtask chart

e2e: ## Runs the end-to-end tests alone
	@cargo build --quiet --package steamer
	@cargo test --package steamer-e2e --test e2e -- --test-threads=6
	@cargo test --package steamer-e2e --test nodes -- --test-threads=2

bench: ## Prints what Steamer costs (requests, writes, time, memory); about an hour
	@cargo xtask bench $(BENCH)
	@cargo build --quiet --package steamer
	@cargo test --quiet --package steamer-e2e --test nodes -- --ignored --nocapture figures
	@$(MAKE) --no-print-directory faults TIMES=3

faults: ## Prints what each fault costs a cluster that Steamer runs: TIMES=20 for 20 killed leaders, 10 of each other, 50 held writes; about an hour
	@cargo build --quiet --package steamer
	@STEAMER_FAILOVERS=$(or $(TIMES),20) cargo test --quiet --package steamer-e2e --test nodes -- --nocapture --test-threads=1 failover faults outages rollouts seals databases
	@STEAMER_FAILOVERS=$(or $(TIMES),20) cargo test --quiet --package steamer-e2e --test nodes -- --ignored --nocapture openbao_takes_over_by_itself

docs: ## Writes the reference of every kind
	@cargo xtask docs

verify: ## Regenerates all that is generated and fails on a difference
	@cargo xtask verify

.PHONY: faults help run stop test lint fmt manifests image chart e2e bench docs verify
