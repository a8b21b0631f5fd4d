# Every target works on a clean checkout with Go and git alone. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# One way to compile, so that building, linting and running share their work.
# Only the race detector needs cgo.
export CGO_ENABLED := 0
# A busy machine may take longer than the 20 s that envtest gives a control plane to start and to stop.
export KUBEBUILDER_CONTROLPLANE_START_TIMEOUT := 3m
export KUBEBUILDER_CONTROLPLANE_STOP_TIMEOUT := 3m

TOOLS := bin/tools
# How long one test package may take, seconds of real clusters included.
TEST_TIMEOUT ?= 40m
# Packages to test, and further flags for `go test`: make test PKG=./internal/... TESTFLAGS='-run Lease -v'
PKG ?= ./...
TESTFLAGS ?=
# The modules of this repository that are verified; those of hack/ only pin what is built from elsewhere. bench/transfer/mc and juicefs are not
# among them: to tidy them takes 1.5 GB of modules.
MODULES := . hack/release hack/tools hack/tools/charts hack/tools/prometheus hack/tools/vulncheck hack/tools/golangci-lint hack/controlplane/etcd hack/controlplane/kubernetes hack/controlplane/versitygw hack/controlplane/node hack/controlplane/coredns bench/transfer/rclone bench/transfer/s5cmd hack/servers/gofakes3 hack/servers/rclone hack/servers/minio hack/servers/seaweedfs test/ui/browser

##@ Everyday

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z][a-z-]*:.*## / {printf "  %-18s %s\n", $$1, $$2}' Makefile

.PHONY: build
build: ## Build bin/manager, bin/worker and bin/cargoship, also as a plugin of kubectl, for this machine.
	go build -ldflags '-s -w' -o bin/ ./cmd/manager ./cmd/worker ./cmd/cargoship
	@ln -sf cargoship bin/kubectl-cargoship && ln -sf cargoship bin/kubectl_complete-cargoship

.PHONY: demo
demo: build ## Run the whole product on this machine and verify every byte (DEMO_DATA=DIR, PACKING=tar, KEEP=1).
	@go build -o bin/demo ./hack/demo
	@exec bin/demo --packing '$(or $(PACKING),objects)' $(if $(DEMO_DATA),--data '$(DEMO_DATA)') $(if $(filter 1 true yes,$(KEEP)),--keep)

.PHONY: playground
playground: build ## Run CargoShip on this machine with a little data, for docs/tutorial.md, until interrupted.
	@go build -o bin/playground.program ./hack/playground
	@exec bin/playground.program

# Where releases go, the version (the chart's by default), the registry to push to, and a key of cosign.
RELEASES ?= bin/releases
VERSION ?= $(shell awk '$$1 == "version:" {print $$2}' charts/cargoship/Chart.yaml)
REGISTRY ?=
KEY ?=
BASE ?=
DOWNLOADS ?=

.PHONY: release
release: bin/release $(TOOLS)/helm $(TOOLS)/kustomize ## Make a release in bin/releases (VERSION=1.2.3, REGISTRY=HOST/PATH to push it there, KEY=cosign.key; docs/release.md).
	@bin/release --out $(RELEASES)/$(patsubst v%,%,$(VERSION)) --version '$(VERSION)' --registry '$(REGISTRY)' --key '$(KEY)' --base '$(BASE)' --downloads '$(DOWNLOADS)'

bin/release: FORCE
	@cd hack/release && go build -o $(CURDIR)/$@ .

.PHONY: test-release
test-release: $(TOOLS)/helm $(TOOLS)/kustomize ## Test what makes releases.
	cd hack/release && go test $(TESTFLAGS) ./...

.PHONY: bench-memory
bench-memory: ## Measure the manager's memory with 1,000 workers, 64 prefixes and 10 million files.
	@go build -o bin/benchmemory ./bench/memory
	@exec bin/benchmemory --out docs/benchmarks/manager-memory.md

.PHONY: bench-scale
bench-scale: build bin/s3lab ## Measure what grows with the number of files (FILES=10000,100000,1000000, SCALE_DIR=/dev/shm).
	@go build -o bin/benchscale ./bench/scale
	@exec bin/benchscale $(if $(FILES),--files '$(FILES)') $(if $(SCALE_DIR),--dir '$(SCALE_DIR)') --out $(if $(FILES),bin/bench,docs/benchmarks)

.PHONY: cluster-up
cluster-up: build ## Start a Kubernetes cluster of three nodes on this machine, with our images (root, Linux).
	@go build -o bin/cluster ./test/cluster
	@bin/cluster up

.PHONY: cluster-down
cluster-down: ## Stop that cluster and clear what it left.
	@go build -o bin/cluster ./test/cluster
	@bin/cluster down

.PHONY: test-e2e
test-e2e: cluster-up bin/release bin/s3lab $(TOOLS)/helm $(TOOLS)/kustomize ## Install the chart and a release on that cluster and use the product as its users do.
	cd test/e2e && go test -tags e2e -count=1 -timeout $(TEST_TIMEOUT) -ginkgo.v -ginkgo.no-color -ginkgo.label-filter '!kueue && !outage' $(TESTFLAGS)

.PHONY: test-kueue
test-kueue: cluster-up bin/release bin/s3lab $(TOOLS)/helm $(TOOLS)/kustomize $(TOOLS)/kueue/manager ## Have Kueue queue, admit and preempt transfers on that cluster.
	cd test/e2e && go test -tags e2e -count=1 -timeout $(TEST_TIMEOUT) -ginkgo.v -ginkgo.no-color -ginkgo.label-filter kueue $(TESTFLAGS)

.PHONY: test-outages
test-outages: cluster-up bin/s3lab $(TOOLS)/helm ## Stop managers and API server for minutes while transfers run there, switch limits, docs/benchmarks/outages.md.
	cd test/e2e && go test -tags e2e -count=1 -timeout 120m -ginkgo.v -ginkgo.no-color -ginkgo.label-filter outage $(TESTFLAGS) -args -page $(CURDIR)/docs/benchmarks/outages.md

# How long to break things, after shares are compared, and what the faults are drawn from: make test-chaos MINUTES=3 SEED=7
MINUTES ?= 10

.PHONY: test-chaos
test-chaos: cluster-up $(TOOLS)/helm ## Break that cluster at random while transfers run, and verify every byte (MINUTES=10, SEED=1).
	cd test/chaos && go test -tags e2e -count=1 -v -timeout 120m -args -seed $(SEED) -minutes $(MINUTES)

.PHONY: clean
clean: ## Remove what was built here, except the cached control plane (CONTROLPLANE=1 removes that too).
	rm -rf bin/manager bin/worker bin/cargoship bin/release bin/kubectl-cargoship bin/kubectl_complete-cargoship bin/demo bin/playground.program bin/playground bin/cluster bin/s3lab bin/benchtransfer bin/benchrestore bin/benchfleet bin/benchscale bin/benchmemory bin/benchcontrolplane bin/benchvalidation bin/peers bin/uistage bin/verify $(TOOLS)
	$(if $(filter 1 true yes,$(CONTROLPLANE)),rm -rf bin/k8s)

##@ Benchmarks

# Rounds, and which SCENARIO:CLIENT to run: make bench-transfer RUNS=1 ONLY='http/big:(cargoship|s5cmd)';
# with AGAIN=1 in place of what the page says of them. With BUILDS='NAME=PATH …' other builds of cargoship in place of other clients.
RUNS ?= 5
ONLY ?=
BUILDS ?=
PEERS := $(addprefix bin/peers/,rclone s5cmd mc juicefs)

.PHONY: bench-transfer
bench-transfer: build bin/s3lab $(PEERS) ## Measure cargoship copy against other S3 clients (RUNS=5, ONLY=regexp).
	@go build -o bin/benchtransfer ./bench/transfer
	@exec bin/benchtransfer --runs $(RUNS) --only '$(ONLY)' $(foreach build,$(BUILDS),--build '$(build)') $(if $(AGAIN),--again) --out $(if $(AGAIN)$(BUILDS),docs/benchmarks,$(if $(ONLY),bin/bench,docs/benchmarks))

# Fleets to measure, and the column of the page that their figures go to: make bench-control-plane SIZES=1000 COLUMN=now
SIZES ?= 10,100,1000
COLUMN ?= now
.PHONY: bench-control-plane
bench-control-plane: build ## Measure what fleets of puppets ask of API server and manager (SIZES=10,100,1000, COLUMN=now).
	@go build -o bin/benchcontrolplane ./bench/controlplane
	@exec bin/benchcontrolplane --sizes '$(SIZES)' --column '$(COLUMN)' --out $(if $(OUT),'$(OUT)',docs/benchmarks)

.PHONY: bench-validation
bench-validation: build ## Run scenarios in the simulator and over real HTTP (RUNS=5, ONLY=regexp).
	@go build -o bin/benchvalidation ./bench/validation
	@exec bin/benchvalidation --runs $(RUNS) --only '$(ONLY)'

.PHONY: bench-restore
bench-restore: build bin/s3lab $(PEERS) ## Measure cargoship restore against other S3 clients and tar (RUNS=5, ONLY=regexp, FILES=200000).
	@go build -o bin/benchrestore ./bench/restore
	@exec bin/benchrestore --runs $(RUNS) --only '$(ONLY)' $(if $(FILES),--files $(FILES)) --out $(if $(ONLY)$(FILES),bin/bench,docs/benchmarks)

# Which CONDITION/WORKERS:FLEET to run: make bench-fleet ONLY='policed/4:'; or QUICK=1 for short runs of four workers.
.PHONY: bench-fleet
bench-fleet: cluster-up bin/s3lab $(TOOLS)/helm $(TOOLS)/prometheus ## Measure fleets on the cluster, coordinated and not (QUICK=1, ONLY=regexp).
	@go build -o bin/benchfleet ./bench/fleet
	@exec bin/benchfleet $(if $(or $(ONLY),$(QUICK)),--out bin/bench) \
		$(if $(QUICK),--search 10s --alone 10s --shared 5s --only '$(or $(ONLY),/4:)',--only '$(ONLY)')

bin/peers/rclone: bench/transfer/rclone/go.mod bench/transfer/rclone/go.sum bench/transfer/rclone/main.go
	@echo 'building rclone' >&2
	@cd bench/transfer/rclone && go build -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ .
	@touch $@

bin/peers/s5cmd: bench/transfer/s5cmd/go.mod bench/transfer/s5cmd/go.sum
	@echo 'building s5cmd' >&2
	@cd bench/transfer/s5cmd && go build -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ github.com/peak/s5cmd/v2
	@touch $@

bin/peers/mc: bench/transfer/mc/go.mod bench/transfer/mc/go.sum
	@echo 'building mc' >&2
	@cd bench/transfer/mc && go build -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ github.com/minio/mc
	@touch $@

# Of the stores that JuiceFS knows, only files and S3 take part.
JUICEFS_TAGS := noazure,nob2,nobos,nocos,nodragonfly,noetcd,nogs,nohdfs,noibmcos,nomysql,nonfs,noobs,nooss,nopg,noqingstore,noqiniu,noredis,nosftp,nosqlite,noswift,notikv,noufile,nowebdav,tos

bin/peers/juicefs: bench/transfer/juicefs/go.mod bench/transfer/juicefs/go.sum bench/transfer/juicefs/main.go
	@echo 'building juicefs sync' >&2
	@cd bench/transfer/juicefs && go build -tags $(JUICEFS_TAGS) -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ .
	@touch $@

bin/s3lab: FORCE
	@go build -o $@ ./lab/s3lab

.PHONY: FORCE
FORCE:

##@ Generated files

.PHONY: generate
generate: $(TOOLS)/controller-gen ## Generate deep copies of the API types.
	$(TOOLS)/controller-gen object paths=./api/...

.PHONY: manifests
manifests: $(TOOLS)/controller-gen ## Generate the CRDs and the manager's role, also for the chart, and the JSON schemas of our kinds.
	$(TOOLS)/controller-gen crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	$(TOOLS)/controller-gen rbac:roleName=manager-role paths=./controllers/... output:rbac:dir=config/rbac
	cp config/crd/bases/*.yaml charts/cargoship/files/crds/
	cp config/rbac/role.yaml charts/cargoship/files/manager-role.yaml
	go run ./hack/docs/schemas config/crd/bases docs/schemas/crd

.PHONY: docs
docs: $(TOOLS)/crd-ref-docs ## Generate the references of the API and the metrics, docs/api.md and docs/metrics.md.
	$(TOOLS)/crd-ref-docs --log-level=ERROR --source-path=api --config=hack/docs/config.yaml --renderer=markdown --output-path=docs/api.md
	go run ./hack/docs/metrics

##@ Checks

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Lint Go code, import directions and API conventions.
	$(TOOLS)/golangci-lint config verify
	$(TOOLS)/golangci-lint run ./...
	cd hack/release && $(CURDIR)/$(TOOLS)/golangci-lint run ./...

.PHONY: verify
verify: $(TOOLS)/kustomize ## Fail when generated files, formatting or module files are stale.
	hack/verify.sh $(MODULES)
	$(TOOLS)/kustomize build config/default >/dev/null
	$(TOOLS)/kustomize build config/samples >/dev/null

# What simulates for hours of its own time runs without the race detector, which takes five times as long. Packages of
# ONE_THREAD start no goroutine (a test of internal/coordination sees to it); those of SIMULATING run again
# with the detector, but for their files that have the build tag !race, in which one thread does it all.
ONE_THREAD := /internal/(coordination|sim/baseline)(/|$$)
SIMULATING := /internal/(sim|record)$$
# What takes longest begins first. Of what `go vet` finds, `make lint` finds all. Tests of packages that run a control plane
# or servers mostly wait, so there are at least four at once.
LONGEST := /(test/integration|controllers|cmd/cargoship)$$
AT_ONCE = $$(n=$$(getconf _NPROCESSORS_ONLN); echo $$((n > 4 ? n : 4)))
GO_TEST = go test -vet=off -p $(AT_ONCE) -timeout $(TEST_TIMEOUT) $(TESTFLAGS)

.PHONY: test
test: build $(TOOLS)/helm $(TOOLS)/promtool ## Run all tests on a real API server, with the race detector except for simulations.
	@echo 'test: finding the control plane' >&2
	@assets=$$(go run ./hack/controlplane | tail -n 1); export KUBEBUILDER_ASSETS=$$assets; all=$$(go list $(PKG)); \
	choose() { grep -E "$$@" <<<"$$all" || true; }; \
	plain=$$(choose '$(ONE_THREAD)|$(SIMULATING)'); race=$$(choose '$(LONGEST)'; choose -v '$(ONE_THREAD)|$(LONGEST)'); \
	echo "test: $(GO_TEST), with -race or without, with KUBEBUILDER_ASSETS=$$assets" >&2; \
	if [ -n "$$plain" ]; then $(GO_TEST) $$plain; fi; \
	if [ -n "$$race" ]; then CGO_ENABLED=1 $(GO_TEST) -race $$race; fi

.PHONY: test-docs
test-docs: ## Follow docs/tutorial.md word by word, and compare what it promises.
	@go run ./hack/controlplane >/dev/null
	go test -tags e2e -count=1 -v -timeout 20m ./test/tutorial

.PHONY: test-integration
test-integration: ## Run only the tests that start a control plane, with their names.
	@$(MAKE) test PKG='./controllers/... ./hack/... ./test/...' TESTFLAGS='-v -count=1 $(TESTFLAGS)'

##@ Coordination

# What to simulate: make simulate SCENARIO=FILE|DIR CONTROLLER=adaptive,polars SEEDS=30
SCENARIO ?= internal/sim/scenarios
CONTROLLER ?= adaptive
SEEDS ?= 5

.PHONY: simulate
simulate: ## Simulate scenarios with the production coordinator or a baseline (SCENARIO, CONTROLLER, SEEDS).
	@go run ./bench/simulate --scenario '$(SCENARIO)' --controller '$(CONTROLLER)' --seeds $(SEEDS)

# Runs for each controller, and for each variant of the coordinator (0: no variants); mechanisms to take out.
BENCH_SEEDS ?= 10
STUDY_SEEDS ?= 5
ABLATIONS ?=

.PHONY: bench-coordination
bench-coordination: ## Compare the coordinator with all baselines, docs/benchmarks/coordination.md (BENCH_SEEDS, STUDY_SEEDS).
	@go run ./bench/coordination --seeds $(BENCH_SEEDS) --study-seeds $(STUDY_SEEDS) --ablations '$(ABLATIONS)' \
		--command 'make bench-coordination BENCH_SEEDS=$(BENCH_SEEDS) STUDY_SEEDS=$(STUDY_SEEDS)'

# Random scenarios, and runs of each controller in each.
VARIETY ?= 120
VARIETY_SEEDS ?= 1

.PHONY: bench-variety
bench-variety: ## Compare it with baselines in random scenarios, docs/benchmarks/variety.md (VARIETY, VARIETY_SEEDS).
	@go run ./bench/coordination --variety $(VARIETY) --seeds $(VARIETY_SEEDS) \
		--command 'make bench-variety VARIETY=$(VARIETY) VARIETY_SEEDS=$(VARIETY_SEEDS)'

# How many copies to kill, and the seed: make test-faults KILLS=50 SEED=7
KILLS ?= 300
SEED ?= 1

.PHONY: test-faults
test-faults: ## Prove that faults on the way, at the server and at the source change nothing (KILLS=300, SEED=1).
	@assets=$$(go run ./hack/controlplane | tail -n 1); \
	KUBEBUILDER_ASSETS=$$assets go test -count=1 -v -timeout 60m ./test/faults -args -full -kills $(KILLS) -seed $(SEED)

# One server to run, without a new page: versitygw, gofakes3, rclone, s3rver, minio, seaweedfs or ceph. All of them
# write docs/servers.md, if Debian's packages of Ceph are installed. versitygw comes with the control plane.
SERVER ?=
program.rclone := bin/servers/rclone
program.s3rver := bin/servers/s3rver/node_modules/.bin/s3rver
program.minio := bin/servers/minio
program.seaweedfs := bin/servers/weed

.PHONY: test-servers
test-servers: $(foreach name,$(or $(SERVER),rclone s3rver minio seaweedfs),$(program.$(name))) ## Run the product on S3 servers of many makes, docs/servers.md (SERVER=NAME; needs npm).
	@assets=$(if $(filter-out versitygw,$(SERVER)),,$$(go run ./hack/controlplane | tail -n 1)); \
	KUBEBUILDER_ASSETS=$$assets go test -count=1 -v -timeout 30m ./test/servers -args \
		$(if $(SERVER),-only '$(SERVER)',-full -page $(CURDIR)/docs/servers.md)

bin/servers/rclone: hack/servers/rclone/go.mod hack/servers/rclone/go.sum hack/servers/rclone/main.go
	@echo 'building rclone serve s3' >&2
	@cd hack/servers/rclone && go build -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ .
	@touch $@

bin/servers/minio: hack/servers/minio/go.mod hack/servers/minio/go.sum
	@echo 'building MinIO' >&2
	@cd hack/servers/minio && go build -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ github.com/minio/minio
	@touch $@

bin/servers/weed: hack/servers/seaweedfs/go.mod hack/servers/seaweedfs/go.sum
	@echo 'building SeaweedFS' >&2
	@cd hack/servers/seaweedfs && go build -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ github.com/seaweedfs/seaweedfs/weed
	@touch $@

bin/servers/s3rver/node_modules/.bin/s3rver: hack/servers/s3rver/package.json hack/servers/s3rver/package-lock.json
	@echo 'installing s3rver' >&2
	@mkdir -p bin/servers/s3rver && cp hack/servers/s3rver/package*.json bin/servers/s3rver/
	@cd bin/servers/s3rver && npm ci --no-audit --no-fund --ignore-scripts >&2
	@touch $@

# How many random scenarios, one for each seed from SEED on.
N ?= 10000

# The browser is Debian's chromium, or another Chromium or Chrome in the PATH.
.PHONY: test-ui
test-ui: build $(TOOLS)/prometheus ## Watch a transfer in `cargoship ui` with a headless browser, docs/ui.png (needs chromium).
	@go run ./hack/controlplane >/dev/null
	@go build -o bin/uistage ./test/ui/stage
	cd test/ui/browser && go test -count=1 -v -timeout 20m . -args -picture $(CURDIR)/docs/ui.png

.PHONY: fuzz-coordination
fuzz-coordination: ## Look for violated invariants in random scenarios full of faults (N=10000, SEED=1).
	@go run ./bench/simulate --fuzz $(N) --seed $(SEED)

.PHONY: vulncheck
vulncheck: $(TOOLS)/govulncheck ## Look for known flaws in what is called (needs vuln.go.dev, or GOVULNDB).
	$(TOOLS)/govulncheck $(if $(GOVULNDB),-db '$(GOVULNDB)') ./...

##@ Tools, built on demand from the versions that hack/tools pins

tool_controller-gen := sigs.k8s.io/controller-tools/cmd/controller-gen
tool_kustomize := sigs.k8s.io/kustomize/kustomize/v5
tool_crd-ref-docs := github.com/elastic/crd-ref-docs
tool_setup-envtest := sigs.k8s.io/controller-runtime/tools/setup-envtest

$(TOOLS)/controller-gen $(TOOLS)/kustomize $(TOOLS)/crd-ref-docs $(TOOLS)/setup-envtest: hack/tools/go.mod hack/tools/go.sum
	@echo 'building $(@F)' >&2
	@cd hack/tools && go build -o $(CURDIR)/$@ $(tool_$(@F))
	@touch $@

$(TOOLS)/helm: hack/tools/charts/go.mod hack/tools/charts/go.sum
	@echo 'building helm' >&2
	@cd hack/tools/charts && go build -ldflags '-s -w' -o $(CURDIR)/$@ helm.sh/helm/v4/cmd/helm
	@touch $@

# Kueue's manager, and beside it its chart without the aggregated API that lists queues, which
# needs an API server with a front proxy.
$(TOOLS)/kueue/manager: hack/tools/kueue/go.mod hack/tools/kueue/go.sum
	@echo 'building Kueue' >&2
	@cd hack/tools/kueue && go build -ldflags '-s -w' -o $(CURDIR)/$@ sigs.k8s.io/kueue/cmd/kueue
	@rm -rf $(@D)/chart && cp -r "$$(cd hack/tools/kueue && go list -m -f '{{.Dir}}' sigs.k8s.io/kueue)/charts/kueue" $(@D)/chart && chmod -R u+w $(@D)/chart
	@rm $(@D)/chart/templates/visibility/apiservice_*.yaml
	@touch $@

# Without what finds targets in clouds and orchestrators, which is most of it.
$(TOOLS)/promtool $(TOOLS)/prometheus: hack/tools/prometheus/go.mod hack/tools/prometheus/go.sum
	@echo 'building $(@F)' >&2
	@cd hack/tools/prometheus && go build -trimpath -tags remove_all_sd -ldflags '-s -w' -o $(CURDIR)/$@ github.com/prometheus/prometheus/cmd/$(@F)
	@touch $@

$(TOOLS)/govulncheck: hack/tools/vulncheck/go.mod hack/tools/vulncheck/go.sum
	@echo 'building govulncheck' >&2
	@cd hack/tools/vulncheck && go build -o $(CURDIR)/$@ golang.org/x/vuln/cmd/govulncheck
	@touch $@

$(TOOLS)/golangci-lint: hack/tools/golangci-lint/go.mod hack/tools/golangci-lint/go.sum hack/tools/golangci-lint/main.go
	@echo 'building golangci-lint with kube-api-linter' >&2
	@cd hack/tools/golangci-lint && go build -o $(CURDIR)/$@ .
	@touch $@
