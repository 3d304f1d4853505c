// Fails the run when a test leaves tensors' buffers or nodes of the tape behind on its thread.
#include <doctest/doctest.h>

#include <cstdlib>
#include <iostream>

#include "fathom/autograd/node.h"

namespace {

class LiveCounts : public doctest::IReporter {
 public:
  explicit LiveCounts(const doctest::ContextOptions&) {}
  void test_case_start(const doctest::TestCaseData& test) override {
    name_ = test.m_name;
    nodes_ = fathom::Node::live;
    storages_ = fathom::Storage::live;
  }
  void test_case_reenter(const doctest::TestCaseData&) override { compare(); }
  void test_case_end(const doctest::CurrentTestCaseStats&) override { compare(); }
  void test_run_end(const doctest::TestRunStats&) override {
    if (leaks_) std::exit(1);
  }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

 private:
  void compare() {
    const int64_t nodes = fathom::Node::live - nodes_, storages = fathom::Storage::live - storages_;
    if (nodes == 0 && storages == 0) return;
    std::cerr << "LEFT BEHIND by \"" << name_ << "\": " << nodes << " nodes, " << storages << " storages" << std::endl;
    leaks_ = true;
    nodes_ += nodes;
    storages_ += storages;
  }
  const char* name_ = "";
  int64_t nodes_ = 0, storages_ = 0;
  bool leaks_ = false;
};

REGISTER_LISTENER("live_counts", 1, LiveCounts);

}  // namespace
