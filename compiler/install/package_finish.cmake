# Run by cpack after it packed: ldconfig is asked for by a trigger, as Debian's policy has it, not by scripts of the package.
foreach(package ${CPACK_PACKAGE_FILES})
  set(root ${package}.files)
  set(asked)
  file(REMOVE_RECURSE ${root})
  if(NOT package MATCHES "deq-dev_") # which has no library
    file(WRITE ${root}.triggers "activate-noawait ldconfig\n")
    set(asked "rm ${root}/DEBIAN/postinst ${root}/DEBIAN/postrm" "install -m 0644 ${root}.triggers ${root}/DEBIAN/triggers")
  endif()
  foreach(command "dpkg-deb -R ${package} ${root}" ${asked}
                  "find ${root} -exec touch -h -d @$ENV{SOURCE_DATE_EPOCH} {} +" "dpkg-deb --root-owner-group -Zxz -b ${root} ${package}")
    separate_arguments(words UNIX_COMMAND ${command})
    execute_process(COMMAND ${words} RESULT_VARIABLE failed OUTPUT_QUIET)
    if(failed)
      message(FATAL_ERROR "package: ${command}")
    endif()
  endforeach()
  file(REMOVE_RECURSE ${root} ${root}.triggers)
endforeach()
