// What the tests say when something is not as it should be.
#ifndef RDL_TESTS_CHECK_HPP
#define RDL_TESTS_CHECK_HPP

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>

namespace checks {

[[noreturn]] inline void fail(const char *file, int line, const std::string &what) {
  std::cerr << file << ":" << line << ": " << what << std::endl;
  std::exit(1);
}

template <class A, class B>
void equal(const char *file, int line, const char *said, const A &a, const B &b) {
  if (a == b) return;
  std::ostringstream text;
  text << said << ": " << a << " is not " << b;
  fail(file, line, text.str());
}

// The error that `work` throws; anything else fails.
template <class Error, class Work>
Error thrown(const char *file, int line, const char *said, Work &&work) {
  try {
    work();
  } catch (const Error &error) {
    return error;
  }
  fail(file, line, std::string(said) + " threw nothing");
}

}  // namespace checks

#define CHECK(what) \
  do {              \
    if (!(what)) checks::fail(__FILE__, __LINE__, #what); \
  } while (false)
#define EQUAL(a, b) checks::equal(__FILE__, __LINE__, #a, (a), (b))
#define REFUSED(name_, ...)                                                                   \
  EQUAL(std::string(checks::thrown<remote_data_loader_backend::Error>(__FILE__, __LINE__, #__VA_ARGS__, [&] { \
          static_cast<void>(__VA_ARGS__);                                                     \
        }).name()),                                                                           \
        std::string(name_))

#endif
