# SPDX-License-Identifier: Apache-2.0
# Every target first installs what it needs, Debian packages (.ci/packages) and npm packages, and does only what is not
# done yet.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := help

# npm brings the pinned Node.js; the machine's own may be older.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

FIND    := find apps libs tools test bench -name node_modules -prune -o -name dist -prune -o -name build -prune -o
SOURCES := $(shell $(FIND) -type f \( -name '*.ts' -o -name '*.js' -o -name '*.css' -o -name '*.html' -o -name package.json \) -print 2>/dev/null)
C_STYLE := $(shell $(FIND) -type f -name '*.[ch]' -print 2>/dev/null) $(shell find bpf -name build -prune -o -type f -name '*.[ch]' -print)
GEN     := libs/datapath/layout/src/gen
ADDON   := libs/bpf-loader-node/build/bpf-loader.node

.PHONY: help build demo test bench matrix lint generate image package format clean packages bpf addon cni
help: ## Say what the targets do
	@echo "Weir. make TARGET, where TARGET is one of:"
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 13

build: bpf addon cni dist/.bundled dist/netbench dist/flowwatch ## Build everything into dist/
	@echo "==> Built: dist/ is up to date"

demo: build ## Show identity, L4 and HTTP policy on this kernel; NODES=2, ROUTING=direct, KEEP=1
	@node dist/demo.mjs $(if $(KEEP),--keep)

# Tests and the reference start our programs hundreds of times: types are taken off and code is compiled once for all.
test generate: export NODE_COMPILE_CACHE := $(CURDIR)/node_modules/.cache/compile
test: build ## Run unit, kernel and lab tests; ONLY=unit|kernel|lab, ARGS=paths
	@.ci/install-packages test
	@$(MAKE) -s -C libs/bpf-loader-node test-objects
	@node tools/testrun/src/main.ts $(addprefix --only ,$(ONLY)) $(if $(ARGS),-- $(ARGS))

bench: build ## Measure against baselines in the same run; ARGS="--help"
	@.ci/install-packages bench
	@node bench/main.ts $(ARGS)

matrix: build ## Run the packet tests on other kernels in QEMU; KERNELS="5.10 6.1 6.12"
	@.ci/install-packages matrix
	@node test/kernel-matrix/src/main.ts $(KERNELS)

# The module boundaries are judged on the Nx project graph, and silently skipped without one: it is made first. What has
# not changed is not read again; only a change of a project's tags needs `rm -r node_modules/.cache/eslint`.
lint: node_modules/.installed ## Hold the house rules: eslint, prettier, types, clang-format
	@.ci/install-packages test
	@echo "==> Project graph"
	@NX_DAEMON=false nx show projects >/dev/null
	@echo "==> eslint"
	@eslint --max-warnings 0 --cache --cache-strategy content --cache-location node_modules/.cache/eslint/ .
	@echo "==> prettier"
	@prettier --check --cache --log-level warn .
	@echo "==> tsc"
	@tsc --noEmit --incremental --tsBuildInfoFile node_modules/.cache/tsc.tsbuildinfo -p tsconfig.json
	@echo "==> clang-format"
	@clang-format --dry-run -Werror $(C_STYLE)
	@echo "==> Lint found nothing"

generate: node_modules/.installed packages ## Regenerate what comes from proto/, bpf/, libs/policy and the programs' help
	@echo "==> Generating libs/proto from proto/"
	@node tools/protogen/src/main.ts
	@echo "==> Generating libs/datapath/layout from bpf/layout.c"
	@$(MAKE) -s -C bpf
	@node tools/layoutgen/src/main.ts bpf/build/layout.o $(GEN)
	@echo "==> Generating docs/reference from the programs' help"
	@node tools/tidy/src/write-reference.ts
	@echo "==> Generating charts/weir/crds from libs/custom-resources"
	@node tools/tidy/src/write-custom-resources.ts
	@echo "==> Generating the values of charts/weir from their schema"
	@node tools/tidy/src/write-chart.ts

image: build ## Make an image with all programs for containerd: dist/weir-image.tar
	@node tools/image/src/main.ts $(ARGS)

package: addon ## Pack bpf-loader-node for other projects to install
	@$(MAKE) -s -C libs/bpf-loader-node package

format: node_modules/.installed ## Format TypeScript, Markdown and C in place
	@.ci/install-packages test
	@prettier --write --log-level warn .
	@clang-format -i $(C_STYLE)

clean: ## Remove what was built; node_modules stays
	@$(MAKE) -s -C bpf clean
	@$(MAKE) -s -C libs/bpf-loader-node clean
	@$(MAKE) -s -C apps/cni clean
	@rm -rf dist .nx coverage
	@echo "==> Clean"

packages:
	@.ci/install-packages build lab

bpf: packages
	@$(MAKE) -s -C bpf

addon: packages node_modules/.installed
	@$(MAKE) -s -C libs/bpf-loader-node

cni: packages
	@$(MAKE) -s -C apps/cni OUT=$(CURDIR)/dist

# The recipes above decide by themselves whether their outputs change; this one by time.
$(ADDON): addon ;
dist/.bundled: $(SOURCES) node_modules/.installed $(ADDON)
	@echo "==> Bundling programs"
	@node tools/bundle/src/main.ts
	@touch $@

dist/netbench dist/flowwatch: dist/%: bench/%.c | packages
	@echo "  CC       $<"
	@mkdir -p dist
	@gcc -O2 -Wall -Wextra -Werror -pthread $< -o $@.tmp && mv -f $@.tmp $@

# What the lock file says, and nothing written back. Not "npm ci": it refuses a lock file without the builds of optional
# packages for other platforms, which not every registry carries.
node_modules/.installed: package.json package-lock.json
	@echo "==> Installing npm packages"
	@.ci/with-heartbeat 'npm is at work' npm install --no-save --no-progress --loglevel=error
	@touch $@
