#include "fathom/io/mnist.h"

#include <filesystem>

#include "fathom/io/idx.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom::io {

namespace {

// The file of this name, as it is or gzipped; empty when there is none.
std::string find(const std::string& folder, const std::string& name) {
  for (const char* ending : {"", ".gz"}) {
    const auto path = std::filesystem::path(folder) / (name + ending);
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) return path.string();
  }
  return {};
}

std::string file(const std::string& folder, const std::string& name) {
  const std::string path = find(folder, name);
  if (path.empty()) throw Error("mnist: " + folder + ": no file " + name + " or " + name + ".gz");
  return path;
}

struct Part {
  Dataset data;
  std::string images;
  Shape image;
};

Part read(const std::string& folder, const std::string& part) {
  const std::string images = file(folder, part + "-images-idx3-ubyte"),
                    labels = file(folder, part + "-labels-idx1-ubyte");
  Tensor x = read_idx(images, f32);
  const Tensor y = read_idx(labels, i64);
  if (x.dim() != 3) throw Error("mnist: " + images + ": images have rank 3, this is " + to_string(x.shape()));
  if (y.dim() != 1) throw Error("mnist: " + labels + ": labels have rank 1, this is " + to_string(y.shape()));
  const Shape image{x.size(1), x.size(2)};
  const int64_t n = x.size(0), pixels = image.numel();
  if (y.size(0) != n)
    throw Error("mnist: " + images + " has " + std::to_string(n) + " images, " + labels + " has " +
                std::to_string(y.size(0)) + " labels");
  const int64_t* label = y.data<int64_t>();
  for (int64_t i = 0; i < n; ++i)
    if (label[i] < 0 || label[i] > 9)
      throw Error("mnist: " + labels + ": label " + std::to_string(i) + " is " + std::to_string(label[i]) +
                  "; must be 0 to 9");
  x = x.view({n, pixels}, {pixels, 1});
  kernel::map_into<float, float>([](float v) { return v / 255; }, x, x);
  return {{std::move(x), y}, images, image};
}

Dataset rows(const Dataset& data, bool every_fifth) {
  const int64_t n = data.size();
  Tensor index({every_fifth ? n / 5 : n - n / 5}, i64);
  int64_t* to = index.data<int64_t>();
  for (int64_t i = 0; i < n; ++i)
    if ((i % 5 == 4) == every_fifth) *to++ = i;
  return {gather_rows(data.x, index), gather_rows(data.y, index)};
}

}  // namespace

Split mnist(const std::string& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) throw Error("mnist: " + folder + ": no such folder");
  const bool whole =
      !find(folder, "train-images-idx3-ubyte").empty() || !find(folder, "train-labels-idx1-ubyte").empty();
  const Part test = read(folder, "t10k");
  const auto of_train_files = [&] {
    const Part train = read(folder, "train");
    if (train.image != test.image)
      throw Error("mnist: " + train.images + " has images of " + to_string(train.image) + ", " + test.images + " of " +
                  to_string(test.image));
    return Split{train.data, test.data};
  };
  Split split = whole ? of_train_files() : Split{rows(test.data, false), rows(test.data, true)};
  if (!split.train.size() || !split.test.size())
    throw Error("mnist: " + folder + ": " + std::to_string(split.train.size()) + " images for training and " +
                std::to_string(split.test.size()) + " for the test");
  return split;
}

}  // namespace fathom::io
