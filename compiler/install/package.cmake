# cpack -G DEB: the packages deq and deq-dev, as an installed deq in /usr.  `deq build` links the archive of the runtime, which
# is in deq; deq-dev has the headers and what pkg-config and CMake read.  What Debian's policy asks for beyond that is made before it is
# packed (package_stage.cmake) and after (package_finish.cmake).  SOURCE_DATE_EPOCH is the date of every file in it.
set(DEQ_MAINTAINER "deq <deq@example.org>" CACHE STRING "Name and address of whoever makes packages")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME deq)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "${DEQ_MAINTAINER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL main dev)
set(CPACK_DEBIAN_MAIN_PACKAGE_NAME deq)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME deq-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "deq (= ${PROJECT_VERSION}), libjansson-dev, libxxhash-dev, libminizip-dev, zlib1g-dev")
set(CPACK_DEBIAN_DEV_PACKAGE_RECOMMENDS "")
set(CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS "pkg-config, cmake")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
# cc links what was compiled into the cache; OpenBLAS is loaded when a solver needs it.
set(CPACK_DEBIAN_MAIN_PACKAGE_DEPENDS "gcc | c-compiler, libc6-dev, libopenblas0-pthread | libopenblas0")
set(CPACK_DEBIAN_MAIN_PACKAGE_RECOMMENDS "dataset-fashion-mnist, gnuplot-nox")
set(CPACK_DEBIAN_MAIN_PACKAGE_SUGGESTS "deq-dev, python3-numpy, python3-torch")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "language and compiler for deep equilibrium models")
set(about "A script says a layer that solves an equation, its solver, its training and
the attacks on it. deq checks the shapes, derives the gradients, compiles
everything to native code, trains, attacks, and says how far each number of
robustness can be trusted.

")
set(CPACK_DEBIAN_MAIN_DESCRIPTION "${about}The package has the program, its runtime, manual pages and examples.")
set(CPACK_DEBIAN_DEV_DESCRIPTION "${about}The package has the headers of the runtime, for gradients in C and programs
that link nets, and what pkg-config and CMake find it by.")
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/package_stage.cmake)
set(CPACK_POST_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/package_finish.cmake)
include(CPack)
