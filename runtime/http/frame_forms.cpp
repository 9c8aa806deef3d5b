#include "runtime/http/frame_forms.hpp"

#include "runtime/http/wire.hpp"

#include <new>
#include <zlib.h>

namespace weir::http {
namespace {

// Its 256 KB are kept by each thread that compresses, not by each session.
class deflater {
public:
  deflater() {
    // A minus: no header or trailer. 4: half the time of the default for a few per cent more bytes of JSON.
    if (deflateInit2(&stream_, 4, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~deflater() { deflateEnd(&stream_); }
  deflater(const deflater&) = delete;
  deflater& operator=(const deflater&) = delete;

  std::string compress(std::string_view in) {
    deflateReset(&stream_);
    std::string out;
    out.resize(deflateBound(&stream_, static_cast<uLong>(in.size())) + 16);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    ::deflate(&stream_, Z_SYNC_FLUSH);
    out.resize(out.size() - stream_.avail_out);
    out.resize(out.size() - 4); // 00 00 FF FF, which the other side adds again (RFC 7692, 7.2.1)
    return out;
  }

private:
  z_stream stream_{};
};

} // namespace

std::string deflate_messages(std::string_view messages) {
  thread_local deflater compressor;
  std::string out;
  bool any = false;
  while (!messages.empty()) {
    const auto header = frame_header_of(messages);
    const auto whole = messages.substr(0, header.header_bytes + header.payload_bytes);
    const auto payload = whole.substr(header.header_bytes);
    messages.remove_prefix(whole.size());
    if (payload.size() >= least_deflated_bytes) {
      const auto shorter = compressor.compress(payload);
      if (shorter.size() < payload.size()) {
        any = true;
        auto first = frame_header(1, shorter.size());
        first[0] = static_cast<char>(first[0] | 0x40); // RSV1
        out += first;
        out += shorter;
        continue;
      }
    }
    out += whole;
  }
  return any ? out : std::string{};
}

} // namespace weir::http
