// One launch as a program of its own: the arrays come from the file that is named first and go to the second.
template <class T>
static std::vector<T> taken(FILE* from) {
  long long count = 0;
  if (std::fread(&count, sizeof count, 1, from) != 1) std::abort();
  std::vector<T> all(count);
  if ((long long)std::fread(all.data(), sizeof(T), count, from) != count) std::abort();
  return all;
}

template <class T>
static void put(const std::vector<T>& all, FILE* to) {
  if (std::fwrite(all.data(), sizeof(T), all.size(), to) != all.size()) std::abort();
}

int main(int, char** names) {
  FILE* from = std::fopen(names[1], "rb");
  const std::vector<long long> told = taken<long long>(from);  // the kernel, the budget, flow, polish
  const std::vector<double> rtol = taken<double>(from);
  const std::vector<int> index = taken<int>(from);
  std::vector<double> points = taken<double>(from), anchors = taken<double>(from), reals = taken<double>(from);
  std::vector<long long> counts = taken<long long>(from);
  const std::vector<double> members = taken<double>(from), directions = taken<double>(from);
  std::fclose(from);
  const int ended = launch((int)told[0], (int)index.size(), 0, index.data(), points.data(), anchors.data(), reals.data(),
                           counts.data(), members.data(), directions.data(), rtol[0], told[1], (int)told[2], (int)told[3]);
  FILE* to = std::fopen(names[2], "wb");
  put(points, to);
  put(anchors, to);
  put(reals, to);
  put(counts, to);
  std::fclose(to);
  return ended;
}
