# SPDX-License-Identifier: Apache-2.0
#
# The warnings every file of the tree is compiled with. All are known to gcc 12 and clang 14.

add_compile_options(
    -Wall -Wextra -Wpedantic
    -Wshadow -Wconversion -Wsign-conversion
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wnested-externs
    -Wwrite-strings -Wcast-qual -Wcast-align -Wpointer-arith
    -Wundef -Wformat=2 -Wvla -Wswitch-enum -Wimplicit-fallthrough
    -Wdouble-promotion -Wfloat-equal -Wredundant-decls)

if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(
        -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init
        -Wtrampolines -Warith-conversion -Wformat-overflow=2 -Wformat-signedness)
elseif(CMAKE_C_COMPILER_ID MATCHES "Clang")
    add_compile_options(
        -Wcomma -Wassign-enum -Wconditional-uninitialized -Wunreachable-code
        -Wshorten-64-to-32 -Wloop-analysis)
endif()

# The branches that sanitizers insert make gcc see null dereferences that are not in the source.
if(LL_BUILD STREQUAL "release")
    add_compile_options(-Wnull-dereference)
endif()

if(LL_WERROR)
    add_compile_options(-Werror)
endif()
