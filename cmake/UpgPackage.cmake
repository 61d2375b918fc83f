# Debian packages: 'cpack -G DEB' in the build folder, or 'make deb', makes
#   upg          the program, its manual pages and completions
#   libupg0      the shared library
#   libupg-dev   the header, the static library, pkg-config and CMake packages
# What programs and library link is found by dpkg-shlibdeps; the other dependencies are here.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME upg)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The upg maintainers <maintainers@users.noreply.github.com>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Inference engine for the Phi-4 family")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL program library development)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME upg)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS libvulkan1)
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION
    "Reads the models of the Phi-4 family as they are published, or makes them\n\
ten times smaller, and talks with them in a terminal, a browser or over the\nOpenAI API.  A small model is inside.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libupg${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SUGGESTS libvulkan1)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "The shared library.  A small model is inside.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libupg-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
string(JOIN ", " CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
       "libupg${PROJECT_VERSION_MAJOR} (= ${PROJECT_VERSION}-1)"
       libjansson-dev libpcre2-dev libutf8proc-dev libxxhash-dev libopenblas-dev) # what upg.pc requires
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "The header, the static library, pkg-config and CMake packages.")

foreach(component PROGRAM LIBRARY DEVELOPMENT)
    string(TOLOWER ${component} name)
    install(FILES NOTICE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${component}_PACKAGE_NAME}
            RENAME copyright COMPONENT ${name})
endforeach()
include(CPack)
