// kafka, redis, http and sources.
#include "runtime/config/check.hpp"

#include "runtime/auth/key_ring.hpp"
#include "runtime/auth/token.hpp"
#include "runtime/config/values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <librdkafka/rdkafka.h>
#include <memory>

namespace weir::config {

namespace {

bool is_port(std::string_view text, unsigned least) {
  unsigned value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && rest == text.data() + text.size() && value >= least && value <= 65535;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

bool no_space(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > ' ' && c != 0x7F; });
}

// "host", "host:port", "[v6]", "[v6]:port", where the port may be left out.
bool is_authority(std::string_view text) {
  if (text.empty() || !no_space(text))
    return false;
  std::string_view rest;
  if (text.front() == '[') {
    const auto close = text.find(']');
    if (close == std::string_view::npos || close == 1)
      return false;
    rest = text.substr(close + 1);
  } else {
    const auto colon = text.find(':');
    if (colon == 0)
      return false;
    rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon);
  }
  return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1), 1));
}

struct owned_property {
  std::string_view name, instead;
};

// What weir's guarantees rest on, or what the file says elsewhere.
constexpr std::array owned_properties{
    owned_property{"bootstrap.servers", "say it as kafka.brokers"},
    owned_property{"metadata.broker.list", "say it as kafka.brokers"},
    owned_property{"group.id", "say it as kafka.group"},
    owned_property{"auto.offset.reset", "say it as \"start\" of the source"},
    owned_property{"enable.auto.commit", "remove it: weir commits what Redis holds"},
    owned_property{"auto.commit.enable", "remove it: weir commits what Redis holds"},
    owned_property{"auto.commit.interval.ms", "remove it: weir commits what Redis holds"},
    owned_property{"enable.auto.offset.store", "remove it: weir commits what Redis holds"},
    owned_property{"offset.store.method", "remove it: positions are kept in Redis"},
    owned_property{"enable.partition.eof", "remove it: weir sets it"},
    owned_property{"partition.assignment.strategy", "remove it: weir sets it"},
    owned_property{"group.instance.id", "remove it: every node would have the same one"},
    owned_property{"test.mock.num.brokers", "say \"brokers\": \"embedded\""},
};

struct conf_deleter {
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
};

std::vector<std::string> property_names(rd_kafka_conf_t* conf) {
  std::vector<std::string> out;
  const auto take = [&](const char** dump, std::size_t count) {
    for (std::size_t i = 0; i + 1 < count; i += 2)
      out.emplace_back(dump[i]);
    rd_kafka_conf_dump_free(dump, count);
  };
  std::size_t count = 0;
  const auto** dump = rd_kafka_conf_dump(conf, &count);
  take(dump, count);
  auto* topic = rd_kafka_topic_conf_new();
  dump = rd_kafka_topic_conf_dump(topic, &count);
  take(dump, count);
  rd_kafka_topic_conf_destroy(topic);
  // The dump leaves out what has no default.
  for (const auto* name : {"sasl.username", "sasl.password", "ssl.ca.location", "ssl.certificate.location",
                           "ssl.key.location", "ssl.key.password", "ssl.keystore.location", "ssl.keystore.password",
                           "ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem", "client.rack", "debug"})
    out.emplace_back(name);
  return out;
}

} // namespace

void checker::kafka(const spot& s) {
  if (!object(s, "'kafka'"))
    return;
  each(s, kafka_keys, [&](std::string_view name, spot inner) {
    if (name == "brokers") {
      seen_[{"kafka", "", "brokers"}] = inner;
      const auto value = text(inner);
      if (!value)
        return;
      out_.kafka.brokers = *value;
      if (*value == "embedded")
        return;
      constexpr std::array<std::string_view, 1> embedded{"embedded"};
      if (const auto word = nearest(*value, embedded))
        return report(inner, fmt::format("'{}' is no broker", *value), "did you mean 'embedded'?");
      std::string_view rest = *value;
      for (bool more = true; more;) {
        const auto comma = rest.find(',');
        auto one = rest.substr(0, comma);
        more = comma != std::string_view::npos;
        rest.remove_prefix(more ? comma + 1 : rest.size());
        while (one.starts_with(' '))
          one.remove_prefix(1);
        while (one.ends_with(' '))
          one.remove_suffix(1);
        if (const auto scheme = one.find("://"); scheme != std::string_view::npos)
          one.remove_prefix(scheme + 3);
        if (!is_authority(one) || one == "embedded")
          return report(inner, "no list of brokers",
                        "write host:port, more of them with commas between, or \"embedded\"");
      }
    } else if (name == "group") {
      const auto value = text(inner);
      if (!value)
        return;
      if (is_name(*value))
        out_.kafka.group = *value;
      else
        report(inner, fmt::format("'{}' is no name of a consumer group", *value),
               "use letters, digits and . _ - in it, at most 128");
    } else if (object(inner, "'properties'")) {
      const std::unique_ptr<rd_kafka_conf_t, conf_deleter> conf(rd_kafka_conf_new());
      each_named(inner, [&](member& m, spot property) { kafka_property(m, property, conf.get()); });
    }
  });
}

void checker::kafka_property(const member& m, const spot& s, void* conf) {
  const auto owned = std::find_if(owned_properties.begin(), owned_properties.end(),
                                  [&](const owned_property& p) { return p.name == m.name; });
  if (owned != owned_properties.end())
    return report_name(m, s.pointer, fmt::format("'{}' is set by weir itself", m.name), std::string(owned->instead));
  auto& n = *s.value;
  std::optional<std::string> value;
  if (n.loose)
    value = n.text;
  else if (n.is(node::type::boolean))
    value = n.truth ? "true" : "false";
  else if (n.is(node::type::natural))
    value = std::to_string(n.natural);
  else if (n.is(node::type::integer))
    value = std::to_string(n.integer);
  else if (n.is(node::type::real))
    value = fmt::format("{}", n.real);
  else
    value = secret(s);
  if (!value)
    return;
  // librdkafka knows best what it takes. Its message about a value is not repeated: it quotes the value.
  char message[256];
  switch (
      rd_kafka_conf_set(static_cast<rd_kafka_conf_t*>(conf), m.name.c_str(), value->c_str(), message, sizeof message)) {
  case RD_KAFKA_CONF_OK: out_.kafka.properties.emplace_back(m.name, std::move(*value)); return;
  case RD_KAFKA_CONF_UNKNOWN: {
    const auto names = property_names(static_cast<rd_kafka_conf_t*>(conf));
    const std::vector<std::string_view> views(names.begin(), names.end());
    return report_name(m, s.pointer, fmt::format("librdkafka has no property '{}'", m.name),
                       near(m.name, views, "its CONFIGURATION.md lists all"));
  }
  case RD_KAFKA_CONF_INVALID:
    if (contains(message, "not supported"))
      return report_name(m, s.pointer, fmt::format("this build of librdkafka does not support '{}'", m.name));
    return report(s, fmt::format("librdkafka refuses this value of '{}'", m.name),
                  "its CONFIGURATION.md lists what is allowed");
  }
}

void checker::redis(const spot& s) {
  if (!object(s, "'redis'"))
    return;
  spot username, password;
  each(s, redis_keys, [&](std::string_view name, spot inner) {
    if (name == "url") {
      redis_url(inner);
    } else if (name == "username" || name == "password") {
      auto& target = name == "username" ? out_.redis.username : out_.redis.password;
      (name == "username" ? username : password) = inner;
      const bool hidden = name == "password";
      if (auto value = secret(inner))
        target = std::move(*value);
      inner.value->secret = inner.value->secret || hidden;
    } else if (name == "connections") {
      if (const auto value = whole(inner, 1, 64))
        out_.redis.connections = static_cast<std::uint32_t>(*value);
    } else if (name == "ca_file") {
      if (auto value = file_path(inner))
        out_.redis.ca_file = std::move(*value);
      seen_[{"redis", "", "ca_file"}] = inner;
    }
  });
  const auto at = out_.redis.url.find("://");
  const auto authority = at == std::string::npos ? std::string_view{} : std::string_view(out_.redis.url).substr(at + 3);
  const auto user_info = contains(authority, "@") ? authority.substr(0, authority.rfind('@')) : std::string_view{};
  if (password && contains(user_info, ":"))
    report(password, "a password here and another one in the URL", "keep one of them");
  if (username && !user_info.empty() && user_info.front() != ':')
    report(username, "a user here and another one in the URL", "keep one of them");
  if (username && !password && !contains(user_info, ":"))
    report(username, "a user without a password", "add \"password\": {\"file\": \"path\"}");
  if (seen_.contains({"redis", "", "ca_file"}) && !out_.redis.url.starts_with("rediss://"))
    report(seen_[{"redis", "", "ca_file"}], "'ca_file' is for TLS, and the URL is none of rediss://",
           "write rediss:// in the URL, or remove it");
}

// Problems here never repeat the URL: it may hold a password.
void checker::redis_url(const spot& s) {
  seen_[{"redis", "", "url"}] = s;
  auto value = secret(s);
  if (!value)
    return;
  out_.redis.url = *value;
  if (*value == "embedded")
    return;
  constexpr std::string_view forms =
      "write redis://host:6379, rediss://host:6379, unix:///path/of/socket or \"embedded\"";
  constexpr std::array<std::string_view, 4> schemes{"redis", "rediss", "unix", "embedded"};
  const std::string_view url = *value;
  const auto colon = url.find("://");
  if (colon == std::string_view::npos) {
    if (const auto word = nearest(url, schemes); word && *word == "embedded")
      return report(s, "no URL of a Redis", "did you mean 'embedded'?");
    return report(s, "no URL of a Redis", std::string(forms));
  }
  const auto scheme = url.substr(0, colon);
  auto rest = url.substr(colon + 3);
  if (scheme != "redis" && scheme != "rediss" && scheme != "unix")
    return report(s, fmt::format("unknown scheme '{}' of the URL", scheme.substr(0, 32)), near(scheme, schemes, forms));
  // The last '@' ends the user's part: a password may hold anything that its writer forgot to encode.
  if (const auto at = rest.rfind('@'); at != std::string_view::npos)
    rest.remove_prefix(at + 1);
  if (!no_space(rest))
    return report(s, "a space or control character in the URL", "write it as % and two hexadecimal digits");
  if (const auto query = rest.find('?'); query != std::string_view::npos) {
    const auto db = rest.substr(query + 1);
    if (scheme != "unix" || !db.starts_with("db=") || !is_port(db.substr(3), 0))
      return report(s, "the URL's query is not understood",
                    "a database number is written redis://host:6379/1, or unix:///path?db=1");
    rest = rest.substr(0, query);
  }
  if (scheme == "unix") {
    if (rest.size() < 2 || rest.front() != '/')
      report(s, "no absolute path in the URL", "write unix:///path/of/socket");
    return;
  }
  const auto slash = rest.find('/');
  if (!is_authority(rest.substr(0, slash)))
    return report(s, "no host, or no port from 1 to 65535, in the URL", std::string(forms));
  if (slash != std::string_view::npos && slash + 1 < rest.size() && !is_port(rest.substr(slash + 1), 0))
    return report(s, "no database number after the host", "write redis://host:6379/1");
}

void checker::http(const spot& s) {
  if (!object(s, "'http'"))
    return;
  spot listener = s;
  each(s, http_keys, [&](std::string_view name, spot inner) {
    if (name == "listen") {
      listener = inner;
      listen(inner);
    } else if (name == "origins") {
      if (!inner.value->is(node::type::array))
        return report(inner, fmt::format("an array of origins is wanted, not {}", kind_name(*inner.value)),
                      R"(write ["https://example.org"])");
      for (std::size_t i = 0; i < inner.value->members.size(); ++i)
        origin({&inner.value->members[i].value, inner.pointer + '/' + std::to_string(i)});
    } else if (name == "auth") {
      auth(inner);
    } else if (name == "tls") {
      tls(inner);
    } else if (name == "limits") {
      limits(inner);
    } else if (name == "compression") {
      out_.http.compression = truth(inner).value_or(false);
    }
  });
  if (!out_.http.loopback() && out_.http.auth != "none" && !s.value->find("auth"))
    report(listener,
           fmt::format("'{}' can be reached from other hosts, and nobody has to authenticate", out_.http.host),
           R"(listen on 127.0.0.1, or say "auth": {"jwt": {...}} or "auth": "none" in 'http')");
}

void checker::auth(const spot& s) {
  if (!s.value->is(node::type::object)) {
    constexpr std::array<std::string_view, 1> choices{"none"};
    if (choice(s, "authentication", choices))
      out_.http.auth = "none";
    return;
  }
  bool any = false;
  each(s, auth_keys, [&](std::string_view, spot inner) {
    any = true;
    jwt(inner);
  });
  if (!any)
    missing(s, "jwt", R"({"keys": [{"alg": "HS256", "secret": {"file": "path"}}]})");
}

void checker::jwt(const spot& s) {
  if (!object(s, "'jwt'"))
    return;
  auto& out = out_.http.jwt.emplace();
  const auto found_before = problems_.size();
  const auto words = [&](const spot& at, std::string& to) {
    if (auto value = text(at); value && value->empty())
      report(at, "an empty string", "remove it, or say what tokens have to have");
    else if (value)
      to = std::move(*value);
  };
  spot keys, jwks;
  each(s, jwt_keys, [&](std::string_view name, spot inner) {
    if (name == "keys") {
      keys = inner;
      if (!inner.value->is(node::type::array))
        return report(inner, fmt::format("an array of keys is wanted, not {}", kind_name(*inner.value)),
                      R"(write [{"alg": "HS256", "secret": {"file": "path"}}])");
      for (std::size_t i = 0; i < inner.value->members.size(); ++i)
        jwt_key({&inner.value->members[i].value, inner.pointer + '/' + std::to_string(i)});
    } else if (name == "jwks") {
      jwks = inner;
      if (auto path = file_path(inner))
        out.jwks_file = std::move(*path);
    } else if (name == "audience") {
      words(inner, out.audience);
    } else if (name == "issuer") {
      words(inner, out.issuer);
    } else if (name == "leeway") {
      const auto value = time_span(inner, duration{0});
      if (value && value->count() > auth::most_leeway_ms)
        report(inner, "a leeway of more than a minute", "it is for clocks that differ; let them agree instead");
      else if (value)
        out.leeway = *value;
    } else if (name == "metrics") {
      if (const auto value = choice(inner, "reader of /metrics", metrics_readers))
        out.metrics_public = *value == 1;
    }
  });
  if (!jwks && (!keys || (keys.value->is(node::type::array) && keys.value->members.empty())))
    return report(s, "tokens are asked for, and no key is there to verify them",
                  R"(add "keys": [{"alg": "HS256", "secret": {"file": "path"}}], or "jwks": "path")");
  // Only once each part is right: what they come to together, the file read.
  if (problems_.size() == found_before)
    if (const auto ring = auth::key_ring::make(out); !ring)
      report(jwks ? jwks : keys, ring.error().message, "");
}

void checker::jwt_key(const spot& s) {
  if (!object(s, "a key"))
    return;
  jwt_key_config key;
  std::optional<auth::algorithm> alg;
  spot secret_at, public_at, alg_at;
  const auto found_before = problems_.size();
  each(s, jwt_key_keys, [&](std::string_view name, spot inner) {
    if (name == "kid") {
      if (auto value = text(inner)) {
        if (value->empty() || value->size() > auth::most_kid_bytes)
          report(inner, fmt::format("a 'kid' has 1 to {} bytes", auth::most_kid_bytes),
                 "leave it out if tokens name no key");
        key.kid = std::move(*value);
      }
    } else if (name == "alg") {
      alg_at = inner;
      if (const auto value = choice(inner, "algorithm", auth::algorithm_names)) {
        alg = static_cast<auth::algorithm>(*value);
        key.alg = auth::algorithm_names[*value];
      }
    } else if (name == "secret") {
      secret_at = inner;
      if (auto value = secret(inner))
        key.secret = std::move(*value);
      inner.value->secret = true;
    } else if (name == "public_key") {
      public_at = inner;
      if (auto value = secret(inner))
        key.public_key = std::move(*value);
      inner.value->secret = false; // its file's name may be seen
    }
  });
  if (!alg_at)
    missing(s, "alg", R"("HS256", "RS256" or "ES256")");
  if (!alg)
    return;
  const bool symmetric = *alg == auth::algorithm::hs256;
  if (symmetric && public_at)
    report(public_at, "a public key is no secret, and HS256 is signed with one",
           R"(write "secret": {"file": "path"}, or another 'alg')");
  if (!symmetric && secret_at)
    report(secret_at, fmt::format("{} is verified with a public key, not with a secret", key.alg),
           R"(write "public_key": {"file": "path"}, or "alg": "HS256")");
  if (symmetric && !secret_at)
    missing(s, "secret", R"({"file": "path"})");
  if (!symmetric && !public_at)
    missing(s, "public_key", R"({"file": "path of a PEM file"})");
  if (problems_.size() != found_before)
    return;
  if (const auto made = auth::make_key(key); !made)
    return report(symmetric ? secret_at : public_at, made.error().message,
                  symmetric ? "make one with: openssl rand -base64 48" : "");
  out_.http.jwt->keys.push_back(std::move(key));
}

void checker::listen(const spot& s) {
  if (s.value->is(node::type::natural) && !s.value->loose)
    return report(s, "a host and a port are wanted, not a number",
                  fmt::format("did you mean \"127.0.0.1:{}\"?", s.value->natural));
  const auto value = text(s);
  if (!value)
    return;
  const std::string_view written = *value;
  const auto colon = written.rfind(':');
  auto host = colon == std::string_view::npos ? written : written.substr(0, colon);
  const auto port = colon == std::string_view::npos ? std::string_view{} : written.substr(colon + 1);
  const bool brackets = host.starts_with('[') && host.ends_with(']') && host.size() > 2;
  if (host.empty() && is_port(port, 0))
    return report(s, "a port without a host",
                  fmt::format("did you mean '127.0.0.1:{}'? ('0.0.0.0:{}' is every interface)", port, port));
  if (colon == std::string_view::npos && is_port(written, 0))
    return report(s, "a port without a host", fmt::format("did you mean '127.0.0.1:{}'?", written));
  if (host.empty() || !no_space(host) || !is_port(port, 0) || (contains(host, ":") && !brackets) ||
      contains(host, "/") || (contains(host, "[") && !brackets))
    return report(s, fmt::format("'{}' is no host:port", written), "write 127.0.0.1:8080 or [::1]:8080");
  if (brackets)
    host = host.substr(1, host.size() - 2);
  out_.http.host = std::string(host);
  unsigned number = 0;
  std::from_chars(port.data(), port.data() + port.size(), number);
  out_.http.port = static_cast<std::uint16_t>(number);
}

void checker::origin(const spot& s) {
  const auto value = text(s);
  if (!value)
    return;
  const std::string_view written = *value;
  if (written == "*")
    return report(s, "'*' would let every site in", "list each origin, such as 'https://example.org'");
  const auto scheme = written.starts_with("https://") ? 8u : written.starts_with("http://") ? 7u : 0u;
  const auto host = written.substr(scheme);
  if (scheme == 0 || !is_authority(host) || host.find_first_of("/@?#*\\") != std::string_view::npos)
    return report(s, "no origin",
                  "write scheme, host and port without a path or a '/' at the end, such as 'https://example.org:8443'");
  out_.http.origins.push_back(*value);
}

void checker::tls(const spot& s) {
  if (!object(s, "'tls'"))
    return;
  bool certificate = false, key = false;
  each(s, tls_keys, [&](std::string_view name, spot inner) {
    (name == "certificate" ? certificate : key) = true;
    if (auto path = file_path(inner))
      (name == "certificate" ? out_.http.certificate_file : out_.http.key_file) = std::move(*path);
  });
  if (!certificate)
    missing(s, "certificate", "\"path of a PEM file\"");
  if (!key)
    missing(s, "key", "\"path of a PEM file\"");
}

void checker::limits(const spot& s) {
  if (!object(s, "'limits'"))
    return;
  auto& out = out_.http.limits;
  const auto number = [&](const spot& at, std::uint64_t least, std::uint64_t most, std::uint32_t& to) {
    if (const auto value = whole(at, least, most))
      to = static_cast<std::uint32_t>(*value);
  };
  const auto time = [&](const spot& at, duration& to) {
    const auto value = time_span(at, duration{1'000});
    if (value && *value > duration{600'000})
      report(at, "a time of more than ten minutes", "a client that is gone would be kept for so long");
    else if (value)
      to = *value;
  };
  each(s, limits_keys, [&](std::string_view name, spot at) {
    if (name == "connections")
      number(at, 1, 1'000'000, out.connections);
    else if (name == "connections_per_address")
      number(at, 0, 1'000'000, out.connections_per_address);
    else if (name == "subscriptions")
      number(at, 1, 10'000, out.subscriptions);
    else if (name == "message")
      out.message_bytes = size(at, 1 << 10, 16 << 20).value_or(out.message_bytes);
    else if (name == "commands_per_second")
      number(at, 1, 100'000, out.commands_per_second);
    else if (name == "upgrades_per_second")
      number(at, 1, 1'000'000, out.upgrades_per_second);
    else if (name == "session_bytes_per_second")
      out.session_bytes_per_second = size(at, 1 << 10, 1ull << 40).value_or(out.session_bytes_per_second);
    else if (name == "handshake")
      time(at, out.handshake);
    else if (name == "connect")
      time(at, out.connect);
    else if (name == "stall")
      time(at, out.stall);
  });
}

void checker::source(const member& m, const spot& s) {
  auto& c = out_.sources[m.name];
  c.name = m.name;
  seen_[{"sources", m.name, ""}] = s;
  if (!is_name(m.name))
    report_name(m, s.pointer, fmt::format("'{}' is no name of a source", m.name),
                "use letters, digits and . _ - in it, at most 128");
  if (!object(s, "a source"))
    return;
  bool has_topic = false;
  each(s, source_keys, [&](std::string_view name, spot inner) {
    if (name == "topic") {
      has_topic = true;
      c.topic = topic(inner).value_or("");
    } else if (name == "format") {
      (void)choice(inner, "format", formats);
    } else if (name == "start") {
      if (const auto value = choice(inner, "start", starts))
        c.start = *value == 0 ? start_at::earliest : start_at::latest;
    } else if (name == "dead_letter") {
      seen_[{"sources", m.name, "dead_letter"}] = inner;
      c.dead_letter = topic(inner).value_or("");
    } else if (name == "max_record") {
      c.max_record_bytes = size(inner, 1, 1ull << 30).value_or(c.max_record_bytes);
    }
  });
  if (!has_topic)
    missing(s, "topic", "\"a topic\"");
}

} // namespace weir::config
