# The library as others meet it: installed, as a folder of their tree, and as one header.
set(prefix ${PROJECT_BINARY_DIR}/consumer/prefix)

add_test(NAME install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${prefix})
set_tests_properties(install PROPERTIES FIXTURES_SETUP installed)

# The consumer is not compiled as the library is: no -O, no -march, no NDEBUG; it has to agree with it all the same.
function(consumer_test name)
  add_test(NAME consumer_${name}
    COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer ${PROJECT_BINARY_DIR}/consumer/${name}
      --build-generator ${CMAKE_GENERATOR}
      --build-options ${ARGN} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
        -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}
      --test-command ${PROJECT_BINARY_DIR}/consumer/${name}/consumer)
  set_tests_properties(consumer_${name} PROPERTIES FIXTURES_REQUIRED installed TIMEOUT 1200)
endfunction()
consumer_test(installed -DCMAKE_PREFIX_PATH=${prefix} $<$<BOOL:${FATHOM_SANITIZE}>:-DCMAKE_CXX_FLAGS=-fsanitize=${FATHOM_SANITIZE}>)
consumer_test(subdirectory -DFATHOM_SOURCE=${PROJECT_SOURCE_DIR})

add_test(NAME package_names_no_paths
  COMMAND sh -c "! grep -rnE '${PROJECT_SOURCE_DIR}|/usr/|-march|-fsanitize' '${prefix}/${CMAKE_INSTALL_LIBDIR}/cmake'")
add_test(NAME header_weight COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/header_weight ${CMAKE_CXX_COMPILER} ${PROJECT_BINARY_DIR}/include)
add_test(NAME header_weight_installed COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/header_weight ${CMAKE_CXX_COMPILER} ${prefix}/include)
set_tests_properties(package_names_no_paths header_weight_installed PROPERTIES FIXTURES_REQUIRED installed)
