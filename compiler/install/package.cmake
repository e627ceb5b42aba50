# cpack -G DEB: the package deq, as an installed deq in /usr.  What Debian's policy asks for beyond that is made before it is
# packed (package_stage.cmake) and after (package_finish.cmake).  SOURCE_DATE_EPOCH is the date of every file in it.
set(DEQ_MAINTAINER "deq <deq@example.org>" CACHE STRING "Name and address of whoever makes packages")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME deq)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "${DEQ_MAINTAINER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
# cc links what was compiled into the cache; OpenBLAS is loaded when a solver needs it.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "gcc | c-compiler, libc6-dev, libopenblas0-pthread | libopenblas0")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "dataset-fashion-mnist, gnuplot-nox")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "python3-numpy, python3-torch")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "language and compiler for deep equilibrium models")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "A script says a layer that solves an equation, its solver, its training and
the attacks on it. deq checks the shapes, derives the gradients, compiles
everything to native code, trains, attacks, and says how far each number of
robustness can be trusted.

The package has the program, its runtime as a static and a shared library
with headers, manual pages and examples.")
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/package_stage.cmake)
set(CPACK_POST_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/package_finish.cmake)
include(CPack)
