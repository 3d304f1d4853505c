// Event files of TensorBoard: framed records (length, its checksum, data, its checksum), each a message of protocol
// buffers, of which five fields are needed.
#include <array>
#include <cmath>
#include <cstring>

#include "fathom/io/write_file.h"
#include "fathom/probe/record.h"
#include "fathom/tensor/error.h"

namespace fathom::probe::record {
namespace {

// CRC-32C (Castagnoli 1993), reflected.
uint32_t checksum(const std::string& bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t;
    for (uint32_t i = 0; i < 256; ++i) {
      t[i] = i;
      for (int bit = 0; bit < 8; ++bit) t[i] = t[i] >> 1 ^ (t[i] & 1 ? 0x82f63b78u : 0);
    }
    return t;
  }();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = crc >> 8 ^ table[(crc ^ uint8_t(c)) & 255];
  return ~crc;
}
uint32_t masked(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8u; }

template <class T>
std::string raw(T value) {  // little-endian
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}
std::string framed(const std::string& data) {
  const std::string length = raw(uint64_t(data.size()));
  return length + raw(masked(checksum(length))) + data + raw(masked(checksum(data)));
}

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value > 127; value >>= 7) bytes += char((value & 127) | 128);
  return bytes += char(value);
}
enum Wire { number = 0, eight_bytes = 1, text = 2, four_bytes = 5 };
std::string field(int id, Wire wire) { return varint(uint64_t(id) << 3 | wire); }
std::string field(int id, const std::string& bytes) { return field(id, text) + varint(bytes.size()) + bytes; }

// One scalar of one step.
std::string event(int64_t step, const std::string& tag, double value) {
  const std::string scalar = field(1, tag) + field(2, four_bytes) + raw(float(value));
  return framed(field(1, eight_bytes) + raw(0.0) + field(2, number) + varint(uint64_t(step)) +
                field(5, field(1, scalar)));
}

std::string events_of(const Run& run) {
  std::string bytes = framed(field(1, eight_bytes) + raw(0.0) + field(3, "brain.Event:2"));
  for (const Point& point : run.points) {
    if (point.loss) bytes += event(point.step, "loss", *point.loss);
    if (point.grad_norm) bytes += event(point.step, "grad_norm", *point.grad_norm);
  }
  for (const Board* board : {&run.layers, &run.parameters})
    for (const Frame& frame : board->frames)
      for (const auto& [row, logs] : frame.rows)
        for (size_t q = 0; q < quantities; ++q)
          if (logs[q] != missing)
            bytes += event(frame.step, std::string("log10 ") + quantity_names[q] + "/" + board->label(row), logs[q]);
  return bytes;
}

}  // namespace

void write_events(const Record& record, const std::string& folder) {
  for (size_t i = 0; i < record.runs.size(); ++i) {
    const std::string place = folder + "/" + std::to_string(i);
    io::make_folder("record", place);
    io::write_file("record", place + "/events.out.tfevents.0.fathom", events_of(record.runs[i]));
  }
}

}  // namespace fathom::probe::record
