# Thin wrappers around cargo and xtask. `make` without a target prints the help.
.DEFAULT_GOAL := help
export RUST_LIB_BACKTRACE := 0

help: ## Print this help
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: ## Create a cluster with OpenBao, install Steamer, apply the samples and run a demo
	@echo "==> building the commands of this checkout (some minutes the first time)"
	@cargo xtask run

stop: ## Stop everything that `make run` started
	@cargo xtask stop

test: ## Run all tests on real servers; installs their dependencies; ONLY=name runs one test and shows its output
	@echo "==> building the commands of this checkout (some minutes the first time)"
	@cargo xtask test $(if $(ONLY),--only "$(ONLY)")

lint: ## Check formatting and lints
	@cargo fmt --all --check
	@cargo clippy --quiet --workspace --all-targets -- -D warnings

fmt: ## Format the code
	@cargo fmt --all

manifests: ## Generate CRDs and chart files from the code
	@cargo xtask manifests

image: ## Build the operator image; PROFILE=release for a release image
	@cargo xtask image --profile $(or $(PROFILE),dev)

plugin: ## Build the kubectl plugin into target/plugin
	@cargo build --quiet --release --workspace --bin kubectl-steamer
	@install -D target/$$(rustc --print host-tuple)/release/kubectl-steamer target/plugin/kubectl-steamer
	@echo target/plugin/kubectl-steamer

chart: ## Lint and render the charts, and test the alerts
	@cargo xtask chart

deny: ## Check licenses, duplicates, sources and advisories of the dependencies
	@cargo xtask deny

docs: ## Generate the reference of every kind
	@cargo xtask docs

golden: ## Write the results of Go that the tests of operator/template compare; needs Go
	@cd operator/template/golden && go run . > ../golden.jsonl.new && mv ../golden.jsonl.new ../golden.jsonl \
		&& go run . keys.json > ../golden.jsonl.new && mv ../golden.jsonl.new ../golden-documents.jsonl

verify: ## Regenerate all generated files and fail on a difference
	@cargo xtask verify

e2e: ## Run only the end-to-end tests
	@cargo xtask test --end-to-end

soak: ## Run the end-to-end tests in random order for HOURS (default 8); SEED=n repeats one round
	@cargo xtask soak --times $(or $(TIMES),5) $(if $(SEED),--seed $(SEED) --rounds 1,--hours $(or $(HOURS),8))

bench: ## Run the benchmarks (requests, writes, time, memory, workflows of OpenBao); BENCH="--general 0" leaves one out; about an hour
	@cargo xtask bench $(BENCH)
	@cargo build --quiet --workspace --bin steamer
	@cargo test --quiet --package steamer-e2e --test nodes -- --ignored --nocapture performance
	@$(MAKE) --no-print-directory faults TIMES=3

faults: ## Measure the effect of each fault on a managed cluster; TIMES=20: 20 killed leaders, 10 of each other fault, 50 held writes; about an hour. GUARD=off: check that each failover test fails without the guard
	@cargo build --quiet --workspace --bin steamer
ifeq ($(GUARD),off)
	@for test in $(FAILOVERS); do \
	  if STEAMER_GUARD=off cargo test --quiet --package steamer-e2e --test nodes -- --test-threads=1 --exact failover::$$test; \
	  then echo "$$test passes without the guard: it proves nothing"; exit 1; fi; done
else
	@STEAMER_FAILOVERS=$(or $(TIMES),20) cargo test --quiet --package steamer-e2e --test nodes -- --nocapture --test-threads=1 failover self_healing dependency_outages rollouts seals databases crash_points
	@STEAMER_FAILOVERS=$(or $(TIMES),20) cargo test --quiet --package steamer-e2e --test nodes -- --ignored --nocapture --test-threads=1 openbao_takes_over_without_fencing repairs crash_points
endif

FAILOVERS := a_killed_leader_is_replaced a_frozen_leader_is_replaced_and_writes_nothing_when_it_resumes \
  a_leader_cut_off_from_its_database_is_replaced a_leader_on_a_lost_kubernetes_node_is_replaced \
  a_write_held_between_lock_check_and_commit_is_never_committed_after_a_takeover

gitops: ## Test the scripts for Argo CD with its own runner; builds it for minutes, once per machine
	@cargo test --quiet --package steamer-e2e --test e2e -- --ignored --nocapture the_runner_of_argo_cd

.PHONY: plugin gitops faults golden help run stop test lint fmt manifests image chart e2e soak bench deny docs verify
