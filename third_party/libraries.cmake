# SPDX-License-Identifier: Apache-2.0
#
# One row per library: where its version is written, and which versions are accepted. Each row makes
# an imported target LL::<name>; imported targets are SYSTEM, so their headers raise no warnings.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
add_library(LL::threads INTERFACE IMPORTED)
target_link_libraries(LL::threads INTERFACE Threads::Threads)

# Reads the version from MACROS (three numbers, or one string) in VERSION_HEADER.
function(ll_header_version out dir header macros)
    file(READ "${dir}/${header}" text)
    set(parts "")
    foreach(macro IN LISTS macros)
        if(text MATCHES "#[ \t]*define[ \t]+${macro}[ \t]+\"?([0-9.]+)")
            list(APPEND parts "${CMAKE_MATCH_1}")
        endif()
    endforeach()
    list(JOIN parts "." version)
    set(${out} "${version}" PARENT_SCOPE)
endfunction()

# ll_library(NAME uv HEADER uv.h LIBS uv MIN 1.44 BELOW 2 VERSION_HEADER h MACROS m... | PKG pc)
function(ll_library)
    cmake_parse_arguments(PARSE_ARGV 0 L "" "NAME;HEADER;MIN;BELOW;VERSION_HEADER;PKG" "LIBS;MACROS")
    set(hint "see third_party/README.md, or run scripts/deps")
    find_path(LL_${L_NAME}_INCLUDE_DIR "${L_HEADER}")
    mark_as_advanced(LL_${L_NAME}_INCLUDE_DIR)
    set(dir "${LL_${L_NAME}_INCLUDE_DIR}")
    if(NOT dir)
        message(FATAL_ERROR "${L_NAME}: header ${L_HEADER} not found; ${hint}")
    endif()

    if(L_PKG)
        pkg_check_modules(LL_${L_NAME}_PC QUIET ${L_PKG})
        set(version "${LL_${L_NAME}_PC_VERSION}")
        string(REGEX REPLACE "^r" "" version "${version}")
    else()
        ll_header_version(version "${dir}" "${L_VERSION_HEADER}" "${L_MACROS}")
    endif()
    if(NOT version)
        message(FATAL_ERROR "${L_NAME}: cannot tell the version; ${hint}")
    endif()
    if(version VERSION_LESS L_MIN OR (L_BELOW AND NOT version VERSION_LESS L_BELOW))
        set(range "at least ${L_MIN}")
        if(L_BELOW)
            string(APPEND range " and below ${L_BELOW}")
        endif()
        message(FATAL_ERROR "${L_NAME}: found version ${version}, need ${range}; ${hint}")
    endif()

    add_library(LL::${L_NAME} INTERFACE IMPORTED)
    target_include_directories(LL::${L_NAME} SYSTEM INTERFACE "${dir}")
    foreach(lib IN LISTS L_LIBS)
        find_library(LL_${L_NAME}_LIB_${lib} "${lib}")
        mark_as_advanced(LL_${L_NAME}_LIB_${lib})
        if(NOT LL_${L_NAME}_LIB_${lib})
            message(FATAL_ERROR "${L_NAME}: library ${lib} not found; ${hint}")
        endif()
        target_link_libraries(LL::${L_NAME} INTERFACE "${LL_${L_NAME}_LIB_${lib}}")
    endforeach()
    message(STATUS "Using ${L_NAME} ${version}")
endfunction()

ll_library(NAME uv HEADER uv.h LIBS uv MIN 1.44 BELOW 2
    VERSION_HEADER uv/version.h MACROS UV_VERSION_MAJOR UV_VERSION_MINOR UV_VERSION_PATCH)
ll_library(NAME llhttp HEADER llhttp.h LIBS llhttp MIN 9.0 BELOW 10
    VERSION_HEADER llhttp.h MACROS LLHTTP_VERSION_MAJOR LLHTTP_VERSION_MINOR LLHTTP_VERSION_PATCH)
ll_library(NAME mbedtls HEADER mbedtls/build_info.h LIBS mbedtls mbedx509 mbedcrypto MIN 3.6 BELOW 4
    VERSION_HEADER mbedtls/build_info.h
    MACROS MBEDTLS_VERSION_MAJOR MBEDTLS_VERSION_MINOR MBEDTLS_VERSION_PATCH)
ll_library(NAME lmdb HEADER lmdb.h LIBS lmdb MIN 0.9.24 BELOW 1
    VERSION_HEADER lmdb.h MACROS MDB_VERSION_MAJOR MDB_VERSION_MINOR MDB_VERSION_PATCH)
ll_library(NAME cares HEADER ares.h LIBS cares MIN 1.18 BELOW 2
    VERSION_HEADER ares_version.h MACROS ARES_VERSION_MAJOR ARES_VERSION_MINOR ARES_VERSION_PATCH)
ll_library(NAME sodium HEADER sodium.h LIBS sodium MIN 1.0.18 BELOW 2
    VERSION_HEADER sodium/version.h MACROS SODIUM_VERSION_STRING)
ll_library(NAME idn2 HEADER idn2.h LIBS idn2 MIN 2.3 BELOW 3
    VERSION_HEADER idn2.h MACROS IDN2_VERSION)
ll_library(NAME yyjson HEADER yyjson.h LIBS yyjson MIN 0.8 BELOW 1
    VERSION_HEADER yyjson.h MACROS YYJSON_VERSION_MAJOR YYJSON_VERSION_MINOR YYJSON_VERSION_PATCH)
ll_library(NAME inih HEADER ini.h LIBS inih MIN 55 PKG inih)
if(LL_TESTS)
    ll_library(NAME cmocka HEADER cmocka.h LIBS cmocka MIN 1.1.5 BELOW 3 PKG cmocka)
endif()
