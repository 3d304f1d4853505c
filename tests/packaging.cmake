# The library as others meet it: installed, as a folder of their tree, and as one header.
set(prefix ${PROJECT_BINARY_DIR}/consumer/prefix)

# The consumer is not compiled as the library is: no -O, no -march, no NDEBUG; it has to agree with it all the same.
function(consumer_test name)
  set(folder ${PROJECT_BINARY_DIR}/consumer/${name})
  add_test(NAME consumer_${name}
    COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer ${folder}
      --build-generator ${CMAKE_GENERATOR}
      --build-options ${ARGN} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
        -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}
      --test-command ${folder}/consumer)
  set_tests_properties(consumer_${name} PROPERTIES TIMEOUT 1200)
endfunction()
set(sanitize_flags)
if(FATHOM_SANITIZE)
  set(sanitize_flags -DCMAKE_CXX_FLAGS=-fsanitize=${FATHOM_SANITIZE})
endif()

add_test(NAME install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${prefix})
consumer_test(installed -DCMAKE_PREFIX_PATH=${prefix} ${sanitize_flags})
consumer_test(subdirectory -DFATHOM_SOURCE=${PROJECT_SOURCE_DIR})

set(header_weight ${CMAKE_CURRENT_SOURCE_DIR}/header_weight ${CMAKE_CXX_COMPILER})
add_test(NAME header_weight COMMAND ${header_weight} ${PROJECT_BINARY_DIR}/include)
add_test(NAME header_weight_installed COMMAND ${header_weight} ${prefix}/include)
add_test(NAME package_names_no_paths
  COMMAND sh -c "! grep -rnE '${PROJECT_SOURCE_DIR}|/usr/|-march|-fsanitize' '${prefix}/${CMAKE_INSTALL_LIBDIR}/cmake'")

set_tests_properties(install PROPERTIES FIXTURES_SETUP installed)
set_tests_properties(consumer_installed header_weight_installed package_names_no_paths
  PROPERTIES FIXTURES_REQUIRED installed)
