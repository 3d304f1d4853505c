// What tests share.
#pragma once
#include <doctest/doctest.h>

#include <string>

#include "fathom/tensor/error.h"

// The message of the Error that f throws; empty when it throws none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const fathom::Error& e) {
    return e.what();
  }
  return {};
}
