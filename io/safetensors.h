// safetensors: named tensors in one file, which PyTorch, JAX and others read and write.
//
//   io::write_safetensors("net.safetensors", net.state());
//   net.load_state(io::read_safetensors("net.safetensors"));
//
// Names and layouts of modules are PyTorch's: a file may come from there, or go there. The state of an optimiser is
// written in the same way.
#pragma once
#include "fathom/tensor/named_tensor.h"

namespace fathom::io {

// The tensors of a file, in the order of their numbers. F32, F64, I64 and BOOL stay what they are; F16 and BF16 become
// f32, the other whole numbers i64. Of the metadata only a checksum of write_safetensors is looked at.
// Throws Error, naming the file, before any tensor is allocated, when it cannot be read; when its header is no such
// header, or above 100 MB, or holds a name twice, an empty one, or one of more than 512 bytes or with control
// characters, or more than eight axes, or other numbers; when the tensors do not fill the file's data exactly, without
// a gap; afterwards when a boolean is neither 0 nor 1, a U64 number is above 2^63 - 1, or the checksum is another.
State read_safetensors(const std::string& path);

// Writes them as they would be read, with a checksum. The file is replaced atomically.
// Throws Error, naming the file, on a name that could not be read, on an undefined tensor, and when the file cannot be
// written.
void write_safetensors(const std::string& path, const State& tensors);

}  // namespace fathom::io
