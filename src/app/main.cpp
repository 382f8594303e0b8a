// main.cpp — the program: reads the environment and the command line, runs one verb, says how it
// ended.
#include "app/command_line.h"

int main(int argc, char** argv) {
  return nautile::app::run_program(argc, argv);
}
