// Lists whose members bring their own link, `next`: nothing is allocated or owned.
#pragma once
#include <utility>  // exchange

namespace fathom {

template <class T>
void add_member(T*& first, T& member) {
  member.next = std::exchange(first, &member);
}
// A member that is not in the list is no error.
template <class T>
void remove_member(T*& first, T& member) {
  T** at = &first;
  while (*at && *at != &member) at = &(*at)->next;
  if (*at) *at = member.next;
}

}  // namespace fathom
