#include <weir/program.hpp>

int main(int argc, char** argv) { return weir::program(argc, argv); }
