#!/bin/bash
# Every test of the C and C++ kit: builds and installs it into a folder of its own, then uses it from
# there alone. Needs cargo, cmake, g++, pkg-config, curl, Debian's libcpp-httplib-dev,
# nlohmann-json3-dev, libprotobuf-dev and protobuf-compiler, and in RDL_TEST_PYTHON a Python with the
# package mcap.
set -eu -o pipefail

repository=$(cd "$(dirname "$0")/../../.." && pwd)
kit=$repository/sdk/cpp
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$repository/target}
python=${RDL_TEST_PYTHON:?a Python with the package mcap}
work=$CARGO_TARGET_DIR/cpp-kit
prefix=$work/prefix
jobs=$(nproc)
# A debug build of the library will do.
export CMAKE_BUILD_TYPE=Debug

say() { echo "== $*"; }
built() { cmake -S "$1" -B "$2" "${@:3}" >"$2.log" || { cat "$2.log"; exit 1; }; cmake --build "$2" -j"$jobs" >>"$2.log" 2>&1 || { cat "$2.log"; exit 1; }; }

# What is built again only where it changed; what users get, and build, is new every time.
rm -rf "$prefix" "$work/clean" "$work/example" "$work/guide"
mkdir -p "$work"

say "build and install"
built "$kit" "$work/kit" -DCMAKE_INSTALL_PREFIX="$prefix"
cmake --install "$work/kit" >"$work/install.log"

say "the shared library exports what the header declares"
libraries=$(dirname "$(find "$prefix" -name librdl_backend.a)")
nm -D --defined-only "$libraries/librdl_backend.so" | awk '{ print $3 }' | sort >"$work/exported"
grep -o '\brdl_[a-z0-9_]*(' "$prefix/include/remote_data_loader_backend.h" | tr -d '(' | sort -u |
	grep -v '^rdl_text$' >"$work/declared"
# Comments may name what is declared, and nothing else.
diff "$work/declared" "$work/exported"

say "tests, with the prefix alone"
built "$kit/tests" "$work/tests" -DCMAKE_PREFIX_PATH="$prefix"
"$work/tests/c_test"
"$work/tests/kit_test"
"$work/tests/kit_test_shared"
"$work/tests/protobuf_test" "$work/tests/drive.desc"

say "tests with sanitizers"
built "$kit/tests" "$work/sanitized" -DCMAKE_PREFIX_PATH="$prefix" -DRDL_SANITIZE=ON
"$work/sanitized/c_test"
"$work/sanitized/kit_test"

if [ -d "$repository/sdk/vectors" ]; then
	say "the vectors that all languages share"
	"$work/tests/run_vectors" "$repository/sdk/vectors"
	"$work/sanitized/run_vectors" "$repository/sdk/vectors"
fi

say "without exceptions there is a word of advice"
for header in c c++; do
	printf '#include <remote_data_loader_backend.%s>\n' "$([ $header = c ] && echo h || echo hpp)" >"$work/plain.cpp"
	if g++ -std=c++17 -fno-exceptions -fsyntax-only -I"$prefix/include" "$work/plain.cpp" 2>"$work/advice"; then
		[ $header = c ]
	else
		[ $header = c++ ] && grep -q 'use remote_data_loader_backend.h' "$work/advice"
	fi
done

say "as a part of another tree, from a prebuilt library"
built "$kit/tests/subdirectory" "$work/subdirectory" -DRDL_PREBUILT_DIR="$libraries"
"$work/subdirectory/c_test_static"
"$work/subdirectory/c_test_shared"

say "the example, from a clean folder"
cp -r "$kit/examples" "$work/clean"
built "$work/clean" "$work/example" -DCMAKE_PREFIX_PATH="$prefix" \
	-DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror"
"$python" "$kit/tests/example_test.py" "$work/example/csv_httplib"

say "the guide"
"$python" "$kit/tests/guide_test.py" \
	"$repository/docs/guides/write-a-data-backend/cpp.md" "$work/guide"
echo "all is well"
