# Building with zig's clang against an old glibc, as scripts/wheel does.  Its environment names the architecture in
# WHEEL_ARCH (x86_64, aarch64), the folder of the compiler's wrappers in WHEEL_TOOLS, and the folder of the static
# libraries in WHEEL_PREFIX: nothing of the system is seen but its programs.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR $ENV{WHEEL_ARCH})
set(CMAKE_C_COMPILER $ENV{WHEEL_TOOLS}/cc)
set(CMAKE_AR $ENV{WHEEL_TOOLS}/ar)
set(CMAKE_RANLIB $ENV{WHEEL_TOOLS}/ranlib)
set(CMAKE_C_FLAGS_INIT "-isystem $ENV{WHEEL_PREFIX}/include")
set(CMAKE_MODULE_LINKER_FLAGS_INIT -s)
set(ENV{PKG_CONFIG_LIBDIR} $ENV{WHEEL_PREFIX}/lib/pkgconfig)
set(CMAKE_FIND_ROOT_PATH $ENV{WHEEL_PREFIX})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
