# SPDX-License-Identifier: Apache-2.0
#
# What each LL_BUILD means. The flags are set for the whole tree, because a sanitizer that covers
# only some of the objects reports nonsense.

if(NOT LL_BUILD)
    if(CMAKE_BUILD_TYPE STREQUAL "Debug")
        set(LL_BUILD debug)
    else()
        set(LL_BUILD release)
    endif()
endif()

# The flags below are complete: CMake's own per-type flags (-O3, -DNDEBUG) must not be added to them.
set(CMAKE_C_FLAGS_DEBUG "")
set(CMAKE_C_FLAGS_RELEASE "")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "")
set(CMAKE_C_FLAGS_MINSIZEREL "")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")

add_compile_definitions(_POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)

include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

# Keeps the machine's paths out of the binary.
add_compile_options("-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=")

if(LL_BUILD STREQUAL "release")
    add_compile_options(-O2 -g -fstack-protector-strong -fstack-clash-protection)
    # Some distributions predefine another level.
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|i[3-6]86)$")
        add_compile_options(-fcf-protection)
    elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
        add_compile_options(-mbranch-protection=standard)
    endif()
    add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
    if(LL_LTO)
        include(CheckIPOSupported)
        check_ipo_supported(RESULT ll_has_lto LANGUAGES C)
        if(ll_has_lto)
            set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
        endif()
    endif()
elseif(LL_BUILD STREQUAL "debug")
    set(ll_san -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(LL_BUILD STREQUAL "tsan")
    set(ll_san -fsanitize=thread)
elseif(LL_BUILD STREQUAL "fuzz")
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "LL_BUILD=fuzz needs clang: configure with -DCMAKE_C_COMPILER=clang")
    endif()
    set(ll_san -fsanitize=address,undefined -fno-sanitize-recover=all)
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_compile_definitions(LL_FUZZING=1)
else()
    message(FATAL_ERROR "LL_BUILD must be release, debug, tsan or fuzz, not '${LL_BUILD}'")
endif()

if(NOT LL_BUILD STREQUAL "release")
    add_compile_options(-O1 -g -fno-omit-frame-pointer ${ll_san})
    add_link_options(${ll_san})
    add_compile_definitions(LL_DEBUG=1)
endif()
