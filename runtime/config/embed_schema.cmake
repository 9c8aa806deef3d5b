# cmake -DSCHEMA=<file> -DOUT=<file.cpp> -P embed_schema.cmake: the schema's bytes as an array, so that no compiler's limit on
# the length of a string literal matters.
file(READ "${SCHEMA}" hex HEX)
string(REGEX REPLACE "(................................................................)" "\\1\n  " hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE "${OUT}" "#include \"runtime/config/schema.hpp\"

namespace weir {

namespace {

constexpr unsigned char bytes[] = {
  ${bytes}
};

} // namespace

std::string_view topology_schema() { return {reinterpret_cast<const char*>(bytes), sizeof bytes}; }

} // namespace weir
")
