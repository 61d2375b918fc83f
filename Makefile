# upg: every command here works in a fresh clone.  scripts/setup installs what is missing and asks before it uses sudo.
#
#   make            build/upg, build/libupg.a, build/libupg.so
#   make run        talk with the embedded model (without a terminal: print a story)
#   make test       unit tests and the tests from outside, in C and Python
#   make check      everything that CI does: test, lint, sanitize, tsan, clang, aarch64, faults, valgrind
#   make bench      speed beside the machine's limits
#   make ecosystem  upg.ray on a local Ray cluster, upg.lm_eval in its harness, LlamaIndex (downloads some 400 MB from PyPI)
#   make install    into PREFIX (default /usr/local; DESTDIR is respected)
#   make dist       dist/upg-VERSION.tar.gz of the last commit, the same bytes each time
#   make deb        dist/*.deb for this Debian or Ubuntu
#   make wheel      dist/*.whl for Python on any Linux (x86-64)

VERSION := $(shell cat VERSION)
PREFIX ?= /usr/local
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
PYTEST = .venv/bin/python -m pytest -q
CTEST = ctest --output-on-failure --timeout 1800 --parallel $(JOBS) --test-dir

# What has threads: programs in C, and files of tests from outside.
THREADED = base_pool codec_encode_matrix constraint dense_layer encode_map fit gemm generate golden_logits long_context \
    matrix_types perplexity prefix_cache same_answer scheduler scheduler_soak sequence server_calls session speculation \
    text_encode
THREADED_OUTSIDE = tests/server/test_completions.py tests/server/test_http.py

# $(call build,PRESET,TARGETS): configure once, build; cmake itself configures again when a CMakeLists.txt changes.
build = { test -f $(1)/build.ninja || cmake --preset $(2); } && cmake --build $(1) --parallel $(JOBS) $(3)

.PHONY: all run test bench lint sanitize tsan clang aarch64 faults valgrind check ecosystem install dist deb wheel clean

all:
	@scripts/setup
	@$(call build,build,release,--target upg libupg_shared libupg_static)

run: all
	@if [ -t 0 ] && [ -t 1 ]; then build/upg chat; \
	else build/upg run --chat --greedy -p 'Tell me a story about a brave turtle named Shelly.'; fi

test:
	@scripts/setup --tests
	@$(call build,build,release)
	@$(CTEST) build
	@$(PYTEST) tests

bench: all
	@build/upg bench

lint:
	@scripts/setup --lint --clang
	@test -f build-clang/build.ninja || cmake --preset clang
	@scripts/lint

sanitize:
	@scripts/setup
	@$(call build,build-asan,asan)
	@$(CTEST) build-asan

tsan:
	@scripts/setup --tests
	@$(call build,build-tsan,tsan)
	@$(CTEST) build-tsan --tests-regex "^($$(echo $(THREADED) | tr ' ' '|'))$$"
	@UPG_BIN=build-tsan/upg TSAN_OPTIONS=halt_on_error=1 OPENBLAS_NUM_THREADS=1 $(PYTEST) $(THREADED_OUTSIDE)

clang:
	@scripts/setup --clang
	@$(call build,build-clang,clang)
	@$(CTEST) build-clang

aarch64:
	@scripts/setup --aarch64
	@$(call build,build-aarch64,aarch64)
	@$(CTEST) build-aarch64

# Every allocation, read and write of the program fails in turn, without the sampling of 'make test'.
faults:
	@scripts/setup --tests
	@$(call build,build,release)
	@UPG_FAULTS=all $(PYTEST) tests/faults

valgrind: all
	@scripts/setup --valgrind
	@scripts/valgrind

# Packages that are too large for .venv, in an environment of their own.
ecosystem: all
	@$(call build,build,release,--target upg_python upg_python_sources)
	@test -d build-ecosystem || python3 -m venv build-ecosystem
	@build-ecosystem/bin/pip install --quiet --disable-pip-version-check -r tests/ecosystem/requirements.txt
	@PYTHONPATH=$(CURDIR)/build/python build-ecosystem/bin/python -m pytest -q -W ignore --confcutdir=tests/ecosystem \
	    tests/ecosystem/*.py

check: test lint sanitize tsan clang aarch64 faults valgrind

install: all
	@cmake --install build --prefix $(PREFIX)

dist:
	@mkdir -p dist
	@git archive --prefix=upg-$(VERSION)/ HEAD | gzip -9n > dist/upg-$(VERSION).tar.gz
	@echo dist/upg-$(VERSION).tar.gz

# The prefix is in the configuration, since Debian's folders for libraries go with it.
deb:
	@scripts/setup
	@test -f build-deb/build.ninja || cmake --preset release -B build-deb -DCMAKE_INSTALL_PREFIX=/usr \
	    -DUPG_TESTS=OFF -DUPG_PYTHON=OFF
	@cmake --build build-deb --parallel $(JOBS)
	@mkdir -p dist
	@cd build-deb && cpack -G DEB && mv ./*.deb ../dist/

wheel:
	@scripts/setup
	@scripts/wheel

clean:
	rm -rf build build-* dist
