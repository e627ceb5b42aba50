# Run by cpack before it packs: the staged files become what Debian's policy asks for, with the same bytes every time.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr)
set(doc ${root}/share/doc/deq)
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "package: ${ARGN}")
  endif()
endfunction()

# Dates: that of the change log, unless the builder says one.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  message(FATAL_ERROR "package: set SOURCE_DATE_EPOCH, the date of every file in the package (git log -1 --format=%ct)")
endif()
execute_process(COMMAND date -u -R -d @$ENV{SOURCE_DATE_EPOCH} OUTPUT_VARIABLE date OUTPUT_STRIP_TRAILING_WHITESPACE)

file(READ ${doc}/LICENSE license)
string(REPLACE "\n\n" "\n.\n" license "${license}")
string(REGEX REPLACE "\n$" "" license "${license}")
string(REGEX REPLACE "\n" "\n " license "${license}")
file(WRITE ${doc}/copyright "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: deq

Files: *
Copyright: the deq authors
License: Expat
 ${license}
")
file(REMOVE ${doc}/LICENSE)
file(WRITE ${doc}/changelog "deq (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * See https://keepachangelog.com: CHANGELOG.md in the sources.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}
")
file(GLOB pages ${root}/share/man/man1/*.1)
run(gzip -n -9 ${pages} ${doc}/changelog)

# One package has the program and, for the programs that it builds, the runtime in both forms with its headers.
file(WRITE ${root}/share/lintian/overrides/deq "deq: package-name-doesnt-match-sonames *
deq: non-dev-pkg-with-shlib-symlink *
deq: lacks-unversioned-link-to-shared-library *
deq: no-symbols-control-file *
deq: initial-upload-closes-no-bugs *
deq: pkg-config-unavailable-for-cross-compilation *
")
file(GLOB shared ${root}/lib/*.so ${root}/lib/*.so.* ${root}/lib/deq/*.so)
foreach(file ${shared})
  if(NOT IS_SYMLINK ${file})
    run(chmod 0644 ${file})
  endif()
endforeach()
run(strip --strip-debug --enable-deterministic-archives ${root}/lib/libdeqrt.a)
file(GLOB_RECURSE examples ${doc}/examples/*.deq ${doc}/examples/*.md)
if(examples)
  run(chmod 0644 ${examples})
endif()
run(find ${root} -exec touch -h -d @$ENV{SOURCE_DATE_EPOCH} {} +)
