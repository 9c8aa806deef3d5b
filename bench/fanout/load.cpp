// Many WebSocket sessions of one process and one thread, the publisher of what they get, and the judge of whether each
// got everything. Driven by standard input, one command a line; each is answered by one line of JSON.
//
//   bench_fanout_load --connect PORT[/PATH] --protocol map|stream|raw --channel C --publish HOW [--row-bytes 200]
//                     [--keys 256] [--partitions 1] [--flag 1] [--stalled-for 35] [--storms] [--arrivals]
//
//   --storms: for the command storm; sessions remember the newest row of each key
//   --arrivals: latencies up to a row's arrival at the client's socket as well, by the kernel's clock; and this program
//               gives way to the server: clients have processors of their own, these all sit on the server's
//
//   HOW: kafka:BROKERS/TOPIC   a record per row; the node under test reads the topic
//        tcp:PORT              a line per publication to a peer's control port
//        ws:PORT/PATH          the same as text messages of a WebSocket, one a batch
//   map, stream: the centrifuge protocol in JSON, subscribed to a channel of this kind; raw: whatever comes.
//
//   connect N       opens N more sessions, from 127.1.0.1 upwards, a hundred an address; returns when all are live
//   stall N         opens N more that subscribe and never read; each is replaced after --stalled-for seconds
//   one S           for S seconds: a row, the next when every session has it
//   burst S K       K rows at a time, of distinct keys, the next when every session has all
//   rate S R        R rows a second by the clock
//   publish         one row, returns when every session has it
//   fill            one row of each key, the same
//   brace           to be given before the server is ended: who loses its connection from now on counts as gone
//   storm S         to be given when the server has ended: waits S seconds at most until every session is gone, though
//   it
//                   may be back already, publishes each key anew, and waits until all are back with the newest of every
//                   key. Reconnects as the SDK does: 0.5 s to 20 s with full jitter. Also told: how long after the
//                   brace each was subscribed again, with the state of then.
//   quit
//
// Each session counts what it gets and adds up a hash of every row's number, so what is lost, left out, or comes twice
// shows. Latencies are from the row's making to a session's read, and from the publication's offset (weir: Redis' time
// at the commit) where it has one.
#include "load.hpp"

#include <memory>
#include <string>
#include <sys/resource.h>
#include <utility>

using namespace fanout;

int main(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--storms") {
      s.storms = true;
      continue;
    }
    if (name == "--arrivals") {
      s.arrivals = true;
      continue;
    }
    if (++i == argc)
      die(name + " lacks its value");
    const std::string value = argv[i];
    if (name == "--connect") {
      const auto slash = value.find('/');
      s.port = static_cast<std::uint16_t>(std::stoi(value.substr(0, slash)));
      if (slash != std::string::npos)
        s.path = value.substr(slash);
    } else if (name == "--protocol") {
      s.raw = value == "raw";
      s.map = value == "map";
    } else if (name == "--channel") {
      s.channel = value;
    } else if (name == "--publish") {
      s.publish = value;
    } else if (name == "--row-bytes") {
      s.row_bytes = std::stoul(value);
    } else if (name == "--keys") {
      s.keys = std::stoul(value);
    } else if (name == "--partitions") {
      s.partitions = std::stoi(value);
    } else if (name == "--flag") {
      s.flag = std::stoi(value);
    } else if (name == "--stalled-for") {
      s.stalled_for = std::stod(value);
    } else {
      die("unknown argument " + name);
    }
  }
  if (s.port == 0 || s.publish.empty())
    die("--connect and --publish are needed; the head of bench/fanout/load.cpp says more");
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  std::make_unique<load>(std::move(s))->serve();
}
