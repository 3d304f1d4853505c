// Two operands at a time: their axes are ordered so that one batched product does the pair.
#include <algorithm>  // sort
#include <string>
#include <vector>

#include "fathom/autograd/ops/matmul.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"

namespace fathom {
namespace {

struct Term {
  std::string indices;
  Tensor x;
};

bool has(const std::string& indices, char c) { return indices.find(c) != std::string::npos; }

struct Formula {
  std::vector<std::string> inputs;
  std::string output;
};
Formula parse(std::string_view text) {
  Formula f{{""}, ""};
  bool arrow = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ') continue;
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter && arrow && has(f.output, c))
      throw Error("einsum: the output names " + std::string(1, c) + " twice: " + std::string(text));
    if (letter) (arrow ? f.output : f.inputs.back()) += c;
    else if (c == ',' && !arrow) f.inputs.emplace_back();
    else if (c == '-' && !arrow && i + 1 < text.size() && text[i + 1] == '>') arrow = true, ++i;
    else throw Error("einsum: '" + std::string(1, c) + "' is no index: " + std::string(text));
  }
  std::string all;
  for (const std::string& input : f.inputs) all += input;
  if (!arrow) {  // the indices that occur once, in the order of the alphabet
    std::sort(all.begin(), all.end());
    for (char c : all)
      if (all.find(c) == all.rfind(c)) f.output += c;
  }
  for (char c : f.output)
    if (!has(all, c))
      throw Error("einsum: no operand has the output's index " + std::string(1, c) + ": " + std::string(text));
  return f;
}

// An index that occurs twice leaves its diagonal.
void take_diagonals(Term& t) {
  for (size_t i = 0; i < t.indices.size(); ++i)
    for (size_t j; (j = t.indices.find(t.indices[i], i + 1)) != std::string::npos;) {
      t.x = diagonal(t.x, 0, int64_t(i), int64_t(j));
      const char c = t.indices[i];
      t.indices.erase(j, 1);
      t.indices.erase(i, 1);
      t.indices += c;
      i = 0;
    }
}

void sum_out(Term& t, const std::string& needed) {
  Axes axes;
  std::string left;
  for (size_t i = 0; i < t.indices.size(); ++i) {
    if (has(needed, t.indices[i])) left += t.indices[i];
    else axes.push_back(int64_t(i));
  }
  if (axes.rank) t.x = sum(t.x, axes);
  t.indices = left;
}

Tensor ordered(const Term& t, const std::string& order) {
  if (order == t.indices) return t.x;
  Axes axes;
  for (char c : order) axes.push_back(int64_t(t.indices.find(c)));
  return permute(t.x, axes);
}

Term product(Term a, Term b, const std::string& needed) {
  sum_out(a, needed + b.indices);
  sum_out(b, needed + a.indices);
  std::string batch, inner, left, right;
  Shape shape;
  int64_t sizes[4] = {1, 1, 1, 1};  // of batch, left, inner, right
  for (size_t i = 0; i < a.indices.size(); ++i) {
    const char c = a.indices[i];
    const bool both = has(b.indices, c), kept = has(needed, c);
    (both && kept ? batch : both ? inner : left) += c;
    sizes[both && kept ? 0 : both ? 2 : 1] *= a.x.size(int64_t(i));
  }
  for (size_t i = 0; i < b.indices.size(); ++i)
    if (!has(a.indices, b.indices[i])) right += b.indices[i], sizes[3] *= b.x.size(int64_t(i));
  for (char c : batch + left) shape.push_back(a.x.size(int64_t(a.indices.find(c))));
  for (char c : right) shape.push_back(b.x.size(int64_t(b.indices.find(c))));
  const Tensor x = reshape(ordered(a, batch + left + inner), {sizes[0], sizes[1], sizes[2]});
  const Tensor y = reshape(ordered(b, batch + inner + right), {sizes[0], sizes[2], sizes[3]});
  return {batch + left + right, reshape(matmul(x, y), shape)};
}

}  // namespace

Tensor einsum(std::string_view text, std::span<const Tensor> operands) {
  const Formula f = parse(text);
  if (f.inputs.size() != operands.size())
    throw Error("einsum: the formula has " + std::to_string(f.inputs.size()) + " operands, given " +
                std::to_string(operands.size()) + ": " + std::string(text));
  std::vector<Term> terms;
  int64_t sizes[128];
  std::fill(sizes, sizes + 128, -1);
  for (size_t i = 0; i < operands.size(); ++i) {
    const std::string& indices = f.inputs[i];
    if (int64_t(indices.size()) != operands[i].dim())
      throw Error("einsum: ranks differ: " + indices + " and " + to_string(operands[i].shape()));
    for (size_t d = 0; d < indices.size(); ++d) {
      int64_t& size = sizes[size_t(indices[d])];
      const int64_t here = operands[i].size(int64_t(d));
      if (size >= 0 && size != here)
        throw Error("einsum: sizes of " + std::string(1, indices[d]) + " differ: " + std::to_string(size) + " and " +
                    std::to_string(here));
      size = here;
    }
    terms.push_back({indices, operands[i]});
    take_diagonals(terms.back());
  }
  Term result = terms[0];
  for (size_t i = 1; i < terms.size(); ++i) {
    std::string needed = f.output;
    for (size_t j = i + 1; j < terms.size(); ++j) needed += terms[j].indices;
    result = product(std::move(result), std::move(terms[i]), needed);
  }
  sum_out(result, f.output);
  return ordered(result, f.output);
}
Tensor einsum(std::string_view formula, std::initializer_list<Tensor> operands) {
  return einsum(formula, std::span(operands.begin(), operands.size()));
}

}  // namespace fathom
