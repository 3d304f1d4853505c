// The handwritten digits of LeCun, Cortes & Burges (MNIST), or what comes in files of the same names.
#pragma once
#include <string>

#include "fathom/io/dataset.h"

namespace fathom::io {

struct Split {
  Dataset train, test;
};

// The images as rows of numbers from 0 to 1, f32 (n, height * width), the labels i64 (n), 0 to 9, from the files
// train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte in folder, each as
// it is or with .gz. Without the train files, every fifth of the t10k images is for the test and the others for
// training: 2,000 and 8,000.
// Throws Error, naming the file, when one is missing or damaged, when images and labels differ in number, when images
// for training and for the test differ in size, when a label is above 9; and, naming the folder, when there are no
// images for one of the two.
Split mnist(const std::string& folder);

}  // namespace fathom::io
