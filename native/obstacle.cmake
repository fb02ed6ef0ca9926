# What keeps the native core from being built on this machine, in words; empty where nothing does.
# Macros, because CXX must be enabled in the outermost scope. What was not found is looked for again the next time.

macro(find_obstacle result)
  set(${result} "")
  include(CheckLanguage)
  check_language(CXX)
  if(NOT CMAKE_CXX_COMPILER)
    unset(CMAKE_CXX_COMPILER CACHE)
    set(${result} "no C++ compiler was found (Debian, Ubuntu: apt install g++; macOS: xcode-select --install)")
  else()
    enable_language(CXX)
    check_standard(${result})
    if(NOT ${result} AND CMAKE_CXX_COMPILER_ID STREQUAL "MSVC")
      set(${result} "it is written for GCC and Clang, and this is Visual C++")
    endif()
    find_package(Python 3.11 QUIET COMPONENTS Interpreter Development.Module)
    if(NOT ${result} AND NOT Python_Development.Module_FOUND)
      set(${result} "Python's header files were not found (Debian, Ubuntu: apt install python3-dev)")
    endif()
  endif()
endmacro()

# Compiles something instead of reading a version: a new compiler can come with an old library.
macro(check_standard result)
  file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/standard.cpp" [[
#include <atomic>
#include <bit>
#include <span>
#include <thread>
template <class Value> concept Small = sizeof(Value) <= 8;
template <Small Value> Value first(std::span<const Value> values) { return values.front(); }
int main() {
    const unsigned values[] = {6};
    std::atomic<unsigned> count{first(std::span<const unsigned>(values))};
    return std::popcount(count.load()) == 2 ? 0 : 1;
}
]])
  unset(SHOAL_CXX20 CACHE)
  try_compile(SHOAL_CXX20 "${CMAKE_CURRENT_BINARY_DIR}/standard" "${CMAKE_CURRENT_BINARY_DIR}/standard.cpp"
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
  if(NOT SHOAL_CXX20)
    set(${result} "${CMAKE_CXX_COMPILER} does not compile C++20")
  endif()
endmacro()
