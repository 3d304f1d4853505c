// Densities over a plane and points in it, side by side, as an SVG file.
#pragma once
#include <fathom/fathom.h>
#include <fathom/io/write_file.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

namespace moons {

// What the panels show: the window, in cells of which `columns` go from left to right.
struct Window {
  double left, right, bottom, top;
  int64_t columns, rows;
};

// The cells' middles, row by row from the top: (rows * columns, 2), f32.
inline fathom::Tensor middles(const Window& w) {
  const fathom::Tensor points({w.rows * w.columns, 2}, fathom::f32);
  float* to = points.data<float>();
  for (int64_t i = 0; i < w.rows * w.columns; ++i) {
    to[2 * i] = float(w.left + (double(i % w.columns) + 0.5) * (w.right - w.left) / double(w.columns));
    to[2 * i + 1] = float(w.top - (double(i / w.columns) + 0.5) * (w.top - w.bottom) / double(w.rows));
  }
  return points;
}

class Picture {
 public:
  Picture(const Window& window, int panels) : window_(window) {
    text(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" font-family=\"sans-serif\" "
        "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
        margin + panels * (width + margin), height() + 2 * margin + title);
  }
  // Each cell as dark as its density, up to `darkest`.
  void density(const char* name, const std::vector<double>& densities, double darkest) {
    begin_panel(name);
    svg_ += "<g shape-rendering=\"crispEdges\">\n";
    const double w = width / double(window_.columns), h = height() / double(window_.rows);
    for (int64_t i = 0; i < window_.rows * window_.columns; ++i) {
      const double part = std::clamp(densities[size_t(i)] / darkest, 0.0, 1.0);
      if (part < 0.01) continue;
      text("<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"hsl(215,70%%,%.0f%%)\"/>\n",
           double(i % window_.columns) * w, double(i / window_.columns) * h, w, h, 97 - 72 * part);
    }
    svg_ += "</g>\n</g>\n";
  }
  void points(const char* name, const fathom::Tensor& points) {
    begin_panel(name);
    const std::vector<double> at = points.to_vector();
    for (size_t i = 0; i + 1 < at.size(); i += 2) {
      if (at[i] < window_.left || at[i] > window_.right || at[i + 1] < window_.bottom || at[i + 1] > window_.top)
        continue;
      text("<circle cx=\"%.2f\" cy=\"%.2f\" r=\"1.1\" fill=\"#1f4e8c\" fill-opacity=\"0.6\"/>\n",
           (at[i] - window_.left) / (window_.right - window_.left) * width,
           (window_.top - at[i + 1]) / (window_.top - window_.bottom) * height());
    }
    svg_ += "</g>\n";
  }
  void write(const std::string& path) { fathom::io::write_file("flow", path, svg_ + "</svg>\n"); }

 private:
  static constexpr double margin = 12, width = 360, title = 18;
  double height() const { return width * (window_.top - window_.bottom) / (window_.right - window_.left); }
  template <class... Arguments>
  void text(const char* format, Arguments... arguments) {
    char line[256];
    std::snprintf(line, sizeof line, format, arguments...);
    svg_ += line;
  }
  void begin_panel(const char* name) {
    const double x = margin + panel_++ * (width + margin);
    text("<text x=\"%g\" y=\"%g\">%s</text>\n<g transform=\"translate(%g %g)\">\n", x, margin + 12, name, x,
         margin + title);
    text("<rect width=\"%g\" height=\"%g\" fill=\"none\" stroke=\"#999\"/>\n", width, height());
  }

  Window window_;
  int panel_ = 0;
  std::string svg_;
};

}  // namespace moons
