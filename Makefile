# Everything that a developer does. `make` lists the targets; docs/development.md says more.
# What is built or downloaded goes to the user's cache directory, never into the repository.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

# CONTEXT=name    an existing Kubernetes cluster of your kubeconfig (kind, a cloud) in place of the local one
# IMAGE=ref       with CONTEXT: an operator image that this cluster can pull; without it a kind cluster is loaded
# STAGES="unit …" which parts `make test` and `make test-all` run: unit chart api kafka e2e; release in test-all only
# RUN=regexp      tests of those parts whose names match
# SHARD=i/n       the i-th of n pieces of `make test-all`, which together are all of it
# SERVE=port      with `make docs`: serve the site, with its search, until it is interrupted
# KEEP=1          keep the test cluster when `make test` ends
# N=1000          how many `make bench-topics` takes, and `make bench-users`, which takes 500 unless told
# REST=240s       how long it watches them at rest
# BROKERS=1       how many brokers it takes
# MECHANISM=name  how the users log in: SCRAM-SHA-512 (unless told), SCRAM-SHA-256, PLAIN or TLS
# BESIDE=0        users that are there before the operator starts
# SIZE=256Mi      how much data `make bench-balance` evens out; there are three copies of it
# RATE=10Mi       bytes per second that each broker may send and receive meanwhile; 0 = no limit
# VERSION=v0.1.0  what `make release` makes, from the commit that is checked out
# OUT=folder      where it puts it; must not exist. Unless told, release/VERSION in the cache
# REGISTRY=ref    folder of a registry that chart and manifests name, as registry.example.com/team
# PUSH=ref        folder of a registry to publish to, in place of REGISTRY; needs KEY
# KEY=file        private key that signs a release, in PEM; KEY_PASSWORD has its password, if it has one
CONTEXT ?=
IMAGE ?=
STAGES ?= unit chart api kafka release e2e
RUN ?=
SHARD ?=
KEEP ?=
SERVE ?=
REST ?= 240s
BROKERS ?= 1
MECHANISM ?= SCRAM-SHA-512
BESIDE ?= 0
SIZE ?= 256Mi
RATE ?= 10Mi
VERSION ?=
OUT ?=
REGISTRY ?=
PUSH ?=
KEY ?=
export CONTEXT IMAGE STAGES RUN SHARD KEEP SERVE

export CASTELLAN_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/castellan

##@ Use
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	printf '\nVariables\n'
	awk '/^# [A-Z]+=/ {sub(/^# /, "  "); print}' $(MAKEFILE_LIST)

demo: ## a three-broker Kafka on Kubernetes from nothing, with 10,000 records through it; leaves it running
	@go -C hack/demo run . up

demo-down: ## remove all that `make demo` made
	@go -C hack/demo run . down

install: ## build the operator and install the chart, on the local cluster or on CONTEXT
	@hack/install.sh

cluster-up: ## start only the local Kubernetes cluster
	@hack/localcluster.sh up

cluster-down: ## stop and remove the local Kubernetes cluster
	@hack/localcluster.sh down

kubeconfig: ## print the path of the local cluster's kubeconfig
	@hack/localcluster.sh kubeconfig

##@ Build
build: ## compile the operator; prints the path of the binary
	@hack/image.sh binary

image: ## build the operator image (an OCI layout, without Docker); prints its reference and folder
	@hack/image.sh image

load: ## build the operator image and load it into the local cluster
	@hack/image.sh load

release: ## everything that a version consists of, from the commit: VERSION, OUT, REGISTRY, PUSH, KEY
	@VERSION="$(VERSION)" OUT="$(OUT)" REGISTRY="$(REGISTRY)" PUSH="$(PUSH)" KEY="$(KEY)" hack/release.sh

generate: ## write CRDs, deepcopy, roles, chart files, API reference and the broker's jar from their sources
	@hack/generate.sh

tools: ## build all pinned tools ahead of need
	@for tool in controller-gen gotestsum govulncheck helm kustomize golangci-lint; do hack/tool.sh "$$tool"; done

docs: ## the documentation as a site; prints its first page. SERVE=8000 serves it on that port of this machine alone
	@hack/docs.sh

##@ Check
verify: ## generated files, formatting, vet, lint with the walls, known vulnerabilities, chart, documentation
	@hack/verify.sh

test: ## what every change has to pass: unit tests to end-to-end cases that hold each promise once; STAGES, RUN
	@LANE=promise hack/test.sh

test-all: ## every test, with all end-to-end cases, in an hour or two; STAGES, RUN and SHARD pick parts
	@hack/test.sh

unit: ## only the tests that need nothing, in seconds
	@STAGES=unit hack/test.sh

mutation: ## break rules of planner and balance one by one; prints which test turns red
	@hack/mutation.sh

golden: ## write the golden files anew; review the difference like code
	@grep -rl --include='*_test.go' 'flag.Bool("update"' internal test | xargs -n 1 dirname | sed 's|^|./|' | xargs -I {} go test {} -update

bench: ## the figures of docs/development.md, measured on the local cluster
	@hack/bench.sh

bench-plan: ## time, memory and rounds of the planner at 500 brokers, and what a view of Kafka costs
	@hack/bench-plan.sh

bench-topics: N ?= 1000
bench-topics: ## N topics from creation to deletion, beside what Kubernetes and Kafka take for them; as root
	@hack/bench-life.sh topics -n $(N) -rest $(REST) -brokers $(BROKERS)

bench-users: N ?= 500
bench-users: ## N users from creation to deletion, likewise; as root
	@hack/bench-life.sh users -n $(N) -rest $(REST) -brokers $(BROKERS) -mechanism $(MECHANISM) -beside $(BESIDE)

bench-writes: ## what one write to a topic costs the API server and etcd, by what is written and how
	@hack/bench-writes.sh

bench-balance: ## a cluster that grew from 3 to 6 brokers is evened out, by the operator and by Kafka's own tool
	@hack/bench-balance.sh -size $(SIZE) -rate $(RATE)

lint: ## golangci-lint alone
	@hack/verify.sh lint

clean: ## remove everything that was built or downloaded; first make demo-down
	@if [ -d "$(CASTELLAN_CACHE)/clusters" ] && [ -n "$$(ls -A "$(CASTELLAN_CACHE)/clusters")" ]; then
		echo "a local cluster is still there: make demo-down" >&2
		exit 1
	fi
	case "$(CASTELLAN_CACHE)" in
	*/castellan) rm -rf "$(CASTELLAN_CACHE)" ;;
	*) echo "not removed, as its name is not castellan: $(CASTELLAN_CACHE)" >&2; exit 1 ;;
	esac

.PHONY: $(shell grep -oE '^[a-z-]+:' $(firstword $(MAKEFILE_LIST)) | tr -d :)
