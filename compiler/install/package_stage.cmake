# Run by cpack before it packs: the staged files become what Debian's policy asks for, with the same bytes every time.
set(main ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/main/usr)
set(dev ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/dev/usr)
set(doc ${main}/share/doc/deq)
set(doc_dev ${dev}/share/doc/deq-dev)
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
file(GLOB pages ${main}/share/man/man1/*.1)
run(gzip -n -9 ${pages} ${doc}/changelog)
file(MAKE_DIRECTORY ${doc_dev})
file(COPY ${doc}/copyright ${doc}/changelog.gz DESTINATION ${doc_dev})

# The package deq has the program and, for the programs that it builds, the runtime in both forms.
file(WRITE ${main}/share/lintian/overrides/deq "deq: package-name-doesnt-match-sonames *
deq: lacks-unversioned-link-to-shared-library *
deq: no-symbols-control-file *
deq: initial-upload-closes-no-bugs *
")
file(WRITE ${dev}/share/lintian/overrides/deq-dev "deq-dev: initial-upload-closes-no-bugs *
deq-dev: pkg-config-unavailable-for-cross-compilation *
")
file(GLOB shared ${main}/lib/*.so.* ${main}/lib/deq/*.so)
foreach(file ${shared})
  if(NOT IS_SYMLINK ${file})
    run(chmod 0644 ${file})
  endif()
endforeach()
run(strip --strip-debug --enable-deterministic-archives ${main}/lib/libdeqrt.a)
file(GLOB_RECURSE examples ${doc}/examples/*.deq ${doc}/examples/*.md)
if(examples)
  run(chmod 0644 ${examples})
endif()
run(find ${main} ${dev} -exec touch -h -d @$ENV{SOURCE_DATE_EPOCH} {} +)
