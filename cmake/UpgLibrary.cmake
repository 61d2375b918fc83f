# libupg from the objects of all rooms: build/libupg.a and build/libupg.so, and what an installed copy needs so that
# pkg-config (upg.pc) and find_package(upg) find it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(rooms GLOBAL PROPERTY UPG_ROOMS)
list(TRANSFORM rooms REPLACE "(.+)" "upg_\\1_objects" OUTPUT_VARIABLE room_objects)

foreach(kind STATIC SHARED)
    string(TOLOWER libupg_${kind} library)
    add_library(${library} ${kind} ${CMAKE_CURRENT_LIST_DIR}/../include/upg/upg.h)
    target_link_libraries(${library} PRIVATE ${room_objects})
    target_include_directories(${library} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    set_target_properties(${library} PROPERTIES
        OUTPUT_NAME upg
        LINKER_LANGUAGE C
        ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endforeach()
set_target_properties(libupg_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})

install(FILES include/upg/upg.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/upg COMPONENT development)
install(TARGETS libupg_static libupg_shared
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development)

# upg.pc finds its prefix from where it lies, so that an installed tree can be moved.
file(RELATIVE_PATH pc_to_include ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
configure_file(${CMAKE_CURRENT_LIST_DIR}/upg.pc.in ${CMAKE_BINARY_DIR}/upg.pc @ONLY)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/upgConfig.cmake.in ${CMAKE_BINARY_DIR}/upgConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/upg
                              PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/upgConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/upg.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
install(FILES ${CMAKE_BINARY_DIR}/upgConfig.cmake ${CMAKE_BINARY_DIR}/upgConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/upg COMPONENT development)
