#include "fathom/io/mnist.h"

#include <algorithm>

#include "tests/io/folder.h"
#include "tests/support.h"

using namespace fathom;

namespace {

const std::string test_images = "t10k-images-idx3-ubyte", test_labels = "t10k-labels-idx1-ubyte",
                  train_images = "train-images-idx3-ubyte", train_labels = "train-labels-idx1-ubyte";

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string message(const Folder& folder) {
  return error_of([&] { io::mnist(folder.path.string()); });
}

}  // namespace

TEST_CASE("mnist: images as rows from 0 to 1, the train files where they are") {
  const Folder folder;
  folder.gzip(test_images + ".gz", images(3, 4, 5));
  folder.write(test_labels, labels(3));
  folder.write(train_images, images(7, 4, 5));
  folder.gzip(train_labels + ".gz", labels(7));
  const auto [train, test] = io::mnist(folder.path.string());
  CHECK(train.x.shape() == Shape{7, 20});
  CHECK(test.x.shape() == Shape{3, 20});
  CHECK(train.x.dtype() == f32);
  CHECK(test.y.to_vector<int64_t>() == std::vector<int64_t>{0, 1, 2});
  const auto x = train.x.to_vector<float>();
  CHECK(x[1] == 7.0f / 255);
  CHECK(*std::max_element(x.begin(), x.end()) <= 1);
}

TEST_CASE("mnist: without the train files every fifth image is for the test") {
  const Folder folder;
  folder.gzip(test_images + ".gz", images(20, 2, 2));
  folder.gzip(test_labels + ".gz", labels(20));
  const auto [train, test] = io::mnist(folder.path.string());
  CHECK(train.x.shape() == Shape{16, 4});
  CHECK(test.y.to_vector<int64_t>() == std::vector<int64_t>{4, 9, 4, 9});
  CHECK(test.x.to_vector<float>()[0] == float(4 * 4 * 7) / 255);
  CHECK(train.y.to_vector<int64_t>()[4] == 5);
}

TEST_CASE("mnist: what is wrong with the files is said in one line") {
  const Folder folder;
  CHECK(message(folder) ==
        "mnist: " + folder.path.string() + ": no file " + test_images + " or " + test_images + ".gz");
  CHECK(has(error_of([&] { io::mnist(folder / "absent"); }), "absent: no such folder"));
  folder.write(test_images, images(5, 2, 2));
  CHECK(has(message(folder), "no file " + test_labels));
  folder.write(test_labels, labels(6));
  CHECK(has(message(folder), test_images + " has 5 images, "));
  CHECK(has(message(folder), test_labels + " has 6 labels"));
  folder.write(test_labels, idx_header(8, {5}) + std::string("\x01\x02\x0a\x01\x01", 5));
  CHECK(has(message(folder), "label 2 is 10; must be 0 to 9"));
  folder.write(test_labels, images(5, 1, 1));
  CHECK(has(message(folder), "labels have rank 1, this is (5, 1, 1)"));
  folder.write(test_labels, labels(5));
  folder.write(train_labels, labels(5));
  CHECK(has(message(folder), "no file " + train_images));
  folder.write(train_images, labels(5));
  CHECK(has(message(folder), "images have rank 3, this is (5)"));
}

TEST_CASE("mnist: images of two sizes") {
  const Folder folder;
  folder.write(test_images, images(4, 2, 8));
  folder.write(test_labels, labels(4));
  folder.gzip(train_images + ".gz", images(5, 4, 4));
  folder.write(train_labels, labels(5));
  CHECK(message(folder) == "mnist: " + (folder / (train_images + ".gz")) + " has images of (4, 4), " +
                               (folder / test_images) + " of (2, 8)");
}

TEST_CASE("mnist: no images to train on or to test on") {
  const Folder folder;
  folder.write(test_images, images(4, 2, 2));
  folder.write(test_labels, labels(4));
  CHECK(has(message(folder), ": 4 images for training and 0 for the test"));
  folder.write(train_images, images(0, 2, 2));
  folder.write(train_labels, labels(0));
  CHECK(has(message(folder), ": 0 images for training and 4 for the test"));
}
